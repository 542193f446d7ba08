import json
def test_x(machine):
    r = machine.settings(table={"max": 40000, "buckets": 39999, "expect_max": 5000}, timeouts={"udp_timeout": 31})
    print(json.dumps(r, indent=1))
    print(machine.files())
    r = machine.settings(table={"max": 40000, "buckets": 39999, "expect_max": 5000}, timeouts={"udp_timeout": 31})
    print(json.dumps(r, indent=1))
    r=machine.absent()
    print(json.dumps(r, indent=1))
    print(machine.files())
    assert 0
