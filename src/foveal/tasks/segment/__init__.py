"""Which pixels of this picture show what?"""
