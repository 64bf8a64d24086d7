"""`python -m actsearch` is the command `actsearch`."""

from actsearch.cli import app

if __name__ == "__main__":
    app(prog_name="actsearch")
