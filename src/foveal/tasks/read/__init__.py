"""What short text is in this picture?"""
