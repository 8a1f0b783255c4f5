"""Words in one-byte encodings that others nearly fit are read right or refused, and never wrong without a word."""

import pytest

from chainrule.data.tables import read_assuming
from chainrule.errors import DataError

WORDS = {
    "hungarian": ("Győr Pécs Budapest Szeged Debrecen", ["cp1250"]),
    "romanian": ("Iaşi Bucureşti Constanţa Braşov Timişoara", ["cp1250"]),
    "romanian, one word": ("Iaşi Cluj Arad", ["cp1250"]),
    "turkish": ("şehir İstanbul kadın beş", ["cp1254"]),
    "turkish with ğ": ("şehir İstanbul Muğla ağaç Diyarbakır", ["cp1254"]),
    "czech": ("Plzeň Děčín Brno České Ústí", ["cp1250"]),
    "spanish": ("Perú México España León Cádiz", ["mac_roman", "cp850", "cp1252"]),
    "german": ("Köln Düsseldorf München Größe", ["cp850", "cp437", "cp1252", "mac_roman"]),
    "german, one word": ("Münster Bonn Ulm", ["cp850", "cp437", "cp1252"]),
    "french": ("très été Orléans préfet année", ["cp850", "cp437", "cp1252", "mac_roman"]),
    "icelandic": ("Reykjavík Akureyri Þingvellir Garðabær", ["cp1252"]),
    "estonian": ("Tõrva Põlva Võru Jõhvi", ["cp1252"]),
    "portuguese": ("São opções Japão informações 1º 2ª", ["cp1252", "mac_roman"]),
    "italian": ("città perché Forlì", ["cp1252"]),
    "japanese": ("東京タワー 大阪 Tシャツ クラスA", ["shift_jis"]),
}
HARD = {
    "hungarian": ("erdő mező Hűvös kő őszi", ["cp1250"]),
    "spanish": ("Perú Chile", ["mac_roman"]),
    "german": ("Köln Bonn", ["cp850"]),
}


def table(path, words, encoding):
    rows = list(enumerate(words.split()))
    path.write_bytes(("n;word\n" + "".join(f"{n};{word}\n" for n, word in rows)).encode(encoding))
    return rows


@pytest.mark.parametrize(
    ("language", "encoding"), [(name, encoding) for name, (_, found) in WORDS.items() for encoding in found]
)
def test_words_are_read(tmp_path, language, encoding):
    rows = table(tmp_path / "t.csv", WORDS[language][0], encoding)
    assert read_assuming(tmp_path / "t.csv")[0].rows() == rows


@pytest.mark.parametrize("language", HARD)
def test_what_may_be_another_is_refused_or_doubted(tmp_path, language):
    words, (encoding,) = HARD[language]
    rows = table(tmp_path / "t.csv", words, encoding)
    try:
        frame, said = read_assuming(tmp_path / "t.csv")
    except DataError as error:
        assert "--encoding" in str(error)
    else:
        assert frame.rows() == rows or any("fits as well" in what for what in said)
