# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""The whole document: the parts settings, early_load and snat in one run, all or nothing.

The document is the whole of what is wanted: a part that it does not name is taken away.
"""
import re

from ansible_collections.netfleet.conntrack.plugins.module_utils import _document, _early_load, _management_spec, _settings, _snat, _spec
from ansible_collections.netfleet.conntrack.plugins.module_utils._change import Part

NAME = "policy"
# The parts that have a section of their own in the document.
SECTIONS = ((_early_load.PART, _early_load.spec), (_snat.PART, _snat.spec))
# What belongs to the whole document, or to this module, and not to a section.
COMMON = ("state", "at_boot", "management")
ONCE = ("document", "confirm_within", "confirm")  # options of the module that no document has
ALONE = {"module": False, "hooks": False}  # of early_load where only its rules for the management path are wanted
DOCUMENT = ("profile",) + _spec.GROUPS + tuple(part.name for part, dummy_spec in SECTIONS) + ("management", "at_boot")


def spec():
    """The argument spec of the module C(policy)."""
    found = dict(_spec.settings_spec(), profile=_document.profile_spec())
    found.update((part.name, {"type": "dict", "options": _options(make())}) for part, make in SECTIONS)
    found["management"] = _management_spec.management_spec()
    found["document"] = {"type": "dict"}  # opened on the controller
    found.update(confirm_within={"type": "int", "default": 0}, confirm={"type": "bool", "default": False})
    return found


def opened(document):
    """Return (the options that a document means, as the module's frame hands them over, what is wrong with it less what its parts say)."""
    # Imported here because a run of the module has had that done, and imports cost time.
    from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

    from ansible_collections.netfleet.conntrack.plugins.module_utils import _faults

    known = {name: row for name, row in spec().items() if name not in ONCE}
    found = ArgumentSpecValidator(known).validate(document)
    return found.validated_parameters, tuple(_faults.faults(found))


def _options(options):
    """Those of a part, without defaults, which would hide what a profile says."""
    return {name: {key: value for key, value in row.items() if key != "default"} for name, row in options.items() if name not in COMMON}


def rows(options):
    """The parts with their options, in the order in which they are applied."""
    document, problems = _document.complete(options)
    sections = tuple((_in_section(part, make()), _of_section(part.name, document)) for part, make in SECTIONS)
    return ((_with_problems(_settings.PART, problems), document),) + sections


def _of_section(name, document):
    given = document.get(name, ALONE if name == _early_load.NAME and "management" in document else None)
    found = dict(given or {}, state=document.get("state", "present") if given is not None else "absent", at_boot=document.get("at_boot", True))
    return dict(found, management=document["management"]) if "management" in document else found


def _with_problems(part, problems):
    """A part that also refuses what is wrong with the document."""
    def plan(state, options):
        found = part.plan(state, options)
        return found._replace(refusals=tuple(problems) + found.refusals)

    return part._replace(plan=plan) if problems else part


def _in_section(part, options):
    """A part whose refusals and warnings name its options by their place in the document."""
    named = re.compile(r"(?:%s)[:.\[]" % "|".join(sorted(name for name in options if name not in COMMON)))

    def plan(state, given):
        found = part.plan(state, given)
        refusals, warnings = (
            tuple("%s.%s" % (part.name, text) if named.match(text) else text for text in texts) for texts in (found.refusals, found.warnings))
        return found._replace(refusals=refusals, warnings=warnings)

    return part._replace(plan=plan)


def at_once(options):
    """The options without what no plain script could take back: rules of others are held as they are."""
    snat = options.get("snat")
    return dict(options, snat=dict(snat, foreign=_snat.HOLD)) if snat and snat.get("foreign") == "randomize" else options


def tell(options, returned):
    """What the module returns besides the changes; ``returned`` is what its parts return."""
    document = {name: value for name, value in _document.complete(options)[0].items() if name in DOCUMENT}
    for group in _spec.GROUPS:
        known = {name: returned["settings"][name] for name in document.get(group, ()) if name in returned["settings"]}
        if group == "table":
            known.update((name, returned["settings"][name]) for name in ("max", "buckets") if name in returned["settings"])
        if known:
            document[group] = dict(document.get(group, {}), **known)
    found = {name: returned[name] for name in ("memory", "kernel_command_line", "tracking", "management") if name in returned}
    return dict(found, policy=document, boot={name: row for name, row in returned["boot"].items() if name in returned["settings"]})


PART = Part(NAME, None, None, None, rows, tell, at_once)
