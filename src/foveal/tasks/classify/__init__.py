"""Which class is this picture?"""
