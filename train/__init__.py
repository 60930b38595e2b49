"""Command lines of ganlib: `python -m train NAME` and `python -m train.evaluate FOLDER`."""
