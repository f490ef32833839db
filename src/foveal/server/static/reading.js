// One reading: the text, how sure each character is, and the value.
