"""`python -m keras_lite COMMAND`, the same as `keras-lite COMMAND`."""

from keras_lite.cli import main

if __name__ == "__main__":
    main()
