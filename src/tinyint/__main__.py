"""`python -m tinyint` is `tinyint`."""

from tinyint.cli import main

if __name__ == "__main__":
    main()
