"""`python -m kdgan` is the command `kdgan`."""

from kdgan.cli import main

if __name__ == "__main__":
    main()
