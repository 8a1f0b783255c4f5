"""The planted faults can still be planted. That the tests catch them takes longer: ``python -m tests.planted``."""

import pytest
from tests.planted.run import copied, patches, plant

FAULTS = patches()
#: what a fault may change: the compiler, and what the records say about their lowering
ALLOWED = ("src/chainrule/compiler/", "src/chainrule/ops/instructions.py", "src/chainrule/ops/reduce.py")


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    return copied(str(tmp_path_factory.mktemp("planted")))


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_it_applies_to_the_present_sources(fault, sources):
    before = {file: (sources / file).read_text() for file in fault.files}
    applied = plant(fault, sources)
    assert applied.returncode == 0, f"{fault.name} must be planted anew (tests/planted): {applied.stderr}"
    for file, text in before.items():
        changed = (sources / file).read_text()
        assert changed != text
        compile(changed, file, "exec")
        (sources / file).write_text(text)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_it_changes_only_the_compiler_and_says_how(fault):
    assert fault.files and all(file.startswith(ALLOWED) for file in fault.files)
    assert fault.kind and fault.words


def test_there_are_forty():
    assert len(FAULTS) >= 40
    assert len({fault.words for fault in FAULTS}) == len(FAULTS)
