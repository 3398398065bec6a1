"""``python -m nersemble`` is the ``nersemble`` command."""

from .cli.app import main

if __name__ == "__main__":
    main()
