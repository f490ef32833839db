"""The page of `foveal review`: suspects with their pictures, and what is decided about them."""
