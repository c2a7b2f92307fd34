"""Build hook: the wheel has a library for this platform, and works with every Python 3 because the binding is ctypes."""

import sysconfig

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class WheelTag(BuildHookInterface):
    def initialize(self, version, build_data):
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        # `auditwheel repair` replaces linux_x86_64 by the manylinux tag.
        build_data.update(pure_python=False, tag=f"py3-none-{platform}")
