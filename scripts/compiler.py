"""Prints what setuptools would compile an extension of this Python with; an empty line where it can't."""

import os
import shutil
import sysconfig

command = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()
has_headers = os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h"))
print((has_headers and shutil.which(command[0])) or "")  # noqa: T201  the answer
