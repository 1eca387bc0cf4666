"""`python -m tinyint.cli` is `tinyint`."""

from tinyint.cli import main

if __name__ == "__main__":
    main()
