"""How many dots are on this picture?"""
