"""``python -m tests.states.save``: keeps the states that this version saves, for versions to come."""

from tests.states import kept

if __name__ == "__main__":
    directory = kept.DIRECTORY / kept.CURRENT
    kept.save(directory)
    for path in sorted(directory.iterdir()):
        print(f"{path.stat().st_size:7,} bytes  tests/states/{kept.CURRENT}/{path.name}")
