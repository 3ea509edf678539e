"""Makes the guests' images and the packages ahead of the tests: python -m tests.system.prepare.

Whatever fails here fails again where a test wants it, and is told there.
"""

from tests.system import package
from tests.system.debians import SUITES
from tests.system.image import CACHE, Image

if __name__ == "__main__":
    for suite in SUITES:
        Image(CACHE, suite).provide()
    package.provide(Image(CACHE, package.BUILT_UNDER))
