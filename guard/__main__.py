"""`python -m guard` is `migration-guard`."""

from guard.cli import main

if __name__ == "__main__":
    main()
