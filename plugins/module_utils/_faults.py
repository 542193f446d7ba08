# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""What is wrong with arguments, in words for the user."""
from ansible.module_utils.errors import UnsupportedError


def faults(found):
    """Yield a text for every argument that is wrong; ``found`` is the ValidationResult of an argument spec."""
    if found.unsupported_parameters:
        names = (name if isinstance(name, str) else ".".join(name) for name in found.unsupported_parameters)
        yield "no such option: %s" % ", ".join(sorted(names))
    for error in found.errors:
        if not isinstance(error, UnsupportedError):
            yield error.msg.rstrip(".")
