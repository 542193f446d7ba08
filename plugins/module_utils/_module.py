# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""The frame of every module: where AnsibleModule and the rest of the collection meet."""
import os

from ansible.module_utils import basic
from ansible.module_utils.basic import AnsibleModule

from ansible_collections.netfleet.conntrack.plugins.module_utils import _faults, _recall
from ansible_collections.netfleet.conntrack.plugins.module_utils._change import ConntrackError
from ansible_collections.netfleet.conntrack.plugins.module_utils._host import Host


class Module(AnsibleModule):
    """An AnsibleModule that keeps what is wrong with its arguments, so that it is said together with all else."""

    def __init__(self, spec):
        self.faults = []
        self._checking = True
        super().__init__(argument_spec=spec, supports_check_mode=True)
        self._checking = False

    def fail_json(self, msg, **kwargs):
        """Fail; while the arguments are being checked, only remember what is wrong with them."""
        found = getattr(self, "validation_result", None)
        if self._checking and found is not None and found.error_messages:
            self.faults = list(_faults.faults(found))
        else:
            super().fail_json(msg=msg, **kwargs)

    def host(self, kind=Host):
        """The machine that this module runs on."""
        return kind(run=self._command, replace=self._replace)

    def _replace(self, new, path):
        """Put a file in another's place, labelled as that place asks.

        Unlike atomic_move it keeps the mode of the file, and what goes wrong is an OSError, which can be undone.
        """
        if self.selinux_enabled():
            self.set_context_if_different(new, self.selinux_default_context(path), False)
        os.rename(new, path)

    def _command(self, argv, data):
        """Run a command. One that cannot be run, or that ends before it has read its input, has failed, and that can be undone."""
        try:
            return self.run_command(argv, data=data, binary_data=True, environ_update={"LC_ALL": "C", "LANGUAGE": "C"}, handle_exceptions=False)
        except OSError as error:
            return error.errno or 1, "", error.strerror or str(error)

    def apply(self, part, host=None):
        """Bring a part about, or say in check mode what that takes; return the result. ``host``: where that is not self.host()."""
        # Imported here because modules that only read do without, and imports cost time.
        from ansible_collections.netfleet.conntrack.plugins.module_utils import _transaction

        try:
            return _transaction.execute(host or self.host(), part, self.params, self.check_mode, self.faults)
        except ConntrackError as error:
            return self.fail_json(msg=str(error))

    def tell(self, result):
        """End with a result."""
        for text in result.pop("warnings", ()):
            self.warn(text)
        self.exit_json(**result)

    def answer(self, read, check=None):
        """Return what ``read`` (host, options) sees; ``check`` (options) yields what is wrong with options of the right types."""
        faults = self.faults or list(check(self.params) if check else ())
        if faults:
            self.fail_json(msg="; ".join(faults))
        try:
            result = read(self.host(), self.params)
        except ConntrackError as error:
            self.fail_json(msg=str(error))
        self.tell(result)

    def act(self, do, check):
        """Return what came of ``do`` (host, options, rehearse, say), which in check mode only says what it would do."""
        self.answer(lambda host, options: do(host, options, self.check_mode, self.log), check)


def bring_about(name, make):
    """Run the module ``name``; ``make`` () returns its argument spec and its Part, and is called only where the last answer does not stand."""
    given = basic._load_params() or {}
    options = {option: value for option, value in given.items() if not option.startswith("_ansible_")}
    wanted = _recall.key(name, options, __loader__)
    if given:
        _answer_as_before(name, options, wanted)
    spec, part = make()
    module = Module(spec)
    witness = module.host(_recall.Witness)
    result = module.apply(part, witness)
    if not module.check_mode:
        _recall.keep(witness, name, wanted, result)
    module.tell(result)


def _answer_as_before(name, options, wanted):
    """End with the last answer where it stands. The options were checked when it was given."""
    module = Module({option: {"type": "raw"} for option in options})
    result = _recall.recalled(module.host(), name, wanted)
    if result is not None:
        module.tell(result)
