# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import pytest

from ansible_collections.netfleet.conntrack.plugins.module_utils import _protocols
from ansible_collections.netfleet.conntrack.plugins.module_utils._snat_rule import PROTOCOLS


def test_every_protocol_is_known_by_name_and_number():
    assert sorted(_protocols.NUMBERS) == sorted(PROTOCOLS)
    for name, number in _protocols.NUMBERS.items():
        assert _protocols.name(name) == _protocols.name(number) == _protocols.name(str(number)) == name


def test_other_words():
    assert _protocols.name("ipv6-icmp") == "icmpv6"
    with pytest.raises(KeyError):
        _protocols.name("igmp")
