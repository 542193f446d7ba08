# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""Options that several parts have, each by itself: how they are read, and what is wrong with one.

Pure: no files, no Ansible.
"""
import ipaddress
import re

# A name that the kernel takes (dev_valid_name in net/core/dev.c) and that both tools can quote, then perhaps the wildcard.
INTERFACE = re.compile(r'[^\s/:"*\x00-\x1f\x7f]{1,15}\*?\Z')


class Wrong(Exception):
    """What is wrong with one option, and its remedy."""


def interface(text):
    """The name of an interface, perhaps with a * at its end; an empty one stays empty."""
    if text and not (INTERFACE.match(text) and text not in (".", "..")):
        raise Wrong("%r is no name of an interface; give up to 15 characters without blanks, quotes, / and :, and "
                    "for all that begin so a * after them" % text)
    return text or ""


def networks(texts):
    """The networks (of C(ipaddress)) that texts are."""
    found = []
    for text in texts or ():
        try:
            found.append(ipaddress.ip_network(text))
        except ValueError as error:
            raise Wrong("%s; write it as %s" % (error, _network_meant(text))) from None
    return found


def _network_meant(text):
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return "an address or a network, such as 192.0.2.0/24 or 2001:db8::/64"
