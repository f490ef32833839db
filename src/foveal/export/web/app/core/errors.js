// Errors that a person may see: about a picture, in words.

/** A picture that cannot be answered; its message says why. */
export class PictureError extends Error {}

/** A file that this module does not read, though another decoder may. */
export class NotOursError extends Error {}
