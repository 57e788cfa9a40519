"""`python -m segbench` is the command line."""

from segbench.cli import main

if __name__ == "__main__":
    main()
