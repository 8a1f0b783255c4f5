"""Encodings are told by the words that they give: right, or refused with the candidates, and never another one."""

import random

import pytest
from tests.corpus.words import LANGUAGES
from tests.thorough import slow

from chainrule.data.files.detection import guesses, sure
from chainrule.data.tables import read_assuming
from chainrule.errors import DataError

CASES = [(language, encoding) for language, (_, encodings) in LANGUAGES.items() for encoding in encodings]


def table_of(language, encoding, rows, seed):
    """A table with words of a language: its text, what is beyond the encoding left out, and its bytes."""
    random_ = random.Random(f"{language} {encoding} {rows} {seed}")
    words = LANGUAGES[language][0].split()
    lines = ["id,name,value,note"]
    for place in range(rows):
        note = random_.choice(["ok", "x", "alpha", random_.choice(words)])
        lines.append(f"{place},{random_.choice(words)},{random_.random():.2f},{note}")
    content = ("\n".join(lines) + "\n").encode(encoding, "ignore")
    return content.decode(encoding), content


@pytest.mark.parametrize(("language", "encoding"), CASES)
@pytest.mark.parametrize("rows", [5, 40, 300])
def test_an_encoding_is_found_or_refused(tmp_path, language, encoding, rows):
    path = tmp_path / "t.csv"
    text, content = table_of(language, encoding, rows, seed=1)
    path.write_bytes(content)
    try:
        frame, assumed = read_assuming(path, ["name", "note"])
    except DataError as error:
        assert rows < 300 and "name the encoding: --encoding" in str(error)
        return
    expected = [tuple(line.split(",")) for line in text.splitlines()[1:]]
    read = [(row[0] or "", row[1] or "") for row in frame["name", "note"].rows()]
    if any("fits as well" in what for what in assumed):
        assert rows < 300
        return
    assert read == [(row[1], row[3]) for row in expected]


@pytest.mark.parametrize("rows", [5, 10, 30, slow(300)])
def test_no_guess_that_is_sure_is_wrong(rows):
    right = total = 0
    for language, encoding in CASES:
        for seed in range(2):
            text, content = table_of(language, encoding, rows, seed)
            if content.isascii():
                continue
            found = guesses(content)
            beyond = "\n".join(line for line in text.splitlines() if not line.isascii())
            total += 1
            if sure(found):
                assert found[0].text.strip() == beyond, (language, encoding, found[0].encoding)
                right += 1
    assert right >= {5: 0.7, 10: 0.8, 30: 0.9, 300: 0.98}[rows] * total


def test_utf_16_without_a_mark_of_other_scripts(tmp_path):
    for town in ("Москва", "Αθήνα", "東京タワー"):
        for encoding in ("utf-16-le", "utf-16-be"):
            (tmp_path / "t.csv").write_bytes(f"n,town\n1,{town}\n2,{town}\n".encode(encoding))
            frame, assumed = read_assuming(tmp_path / "t.csv")
            assert frame["town"].to_list() == [town, town] and assumed == (encoding,)


def test_a_detected_encoding_far_down_and_a_byte_that_it_lacks(tmp_path):
    lines = [f"{place},town" for place in range(40_000)]
    towns = [f"{place},{word}" for place in range(9) for word in ("Москва", "Самара")]
    content = "\n".join(["n,name", *lines, *towns, ""]).encode("cp1251")
    (tmp_path / "t.csv").write_bytes(content)
    frame, assumed = read_assuming(tmp_path / "t.csv")
    assert assumed == ("cp1251",) and frame["name"][-1] == "Самара"
    (tmp_path / "t.csv").write_bytes(content + b"7,\x98\n")
    with pytest.raises(DataError, match=r"not text in cp1251(.*\n)*.*0x98(.*\n)*.*line 40020"):
        read_assuming(tmp_path / "t.csv")
