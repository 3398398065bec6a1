"""The loading script of NeRSemble v2 for ``datasets`` 3.6, which still runs scripts: the package's own builder.

>>> load_dataset("loading_script/nersemble.py", "participant_240", trust_remote_code=True)     # doctest: +SKIP
"""

from nersemble.builder import Nersemble as _Builder


class Nersemble(_Builder):
    """The builder, named here so that ``datasets`` finds it."""
