"""How natural a text is that an encoding gives: letters of one language, words of one script, capitals at their start.

A file in a one-byte encoding reads without an error in every other one; only what comes out tells which was meant. The
measure is the share of the characters beyond ASCII that could stand where they stand in some language.
"""

from __future__ import annotations

import re
from functools import cache

LATIN = {
    "German": "äöüßé",
    "French": "àâæçéèêëîïôœùûüÿ",
    "Spanish": "áéíñóúüçï",
    "Portuguese": "áàâãçéêíóôõúü",
    "Italian": "àèéìíîòóùú",
    "Catalan": "àçèéíïòóúü",
    "Nordic": "åäöæøéü",
    "Icelandic": "áæéíðóöúýþ",
    "Polish": "ąćęłńóśźżé",
    "Czech": "áčďéěíňóřšťúůýž",
    "Slovak": "áäčďéíĺľňóôŕšťúýž",
    "Hungarian": "áéíóöőúüű",
    "Romanian": "ăâîșțşţé",
    "Croatian": "čćđšžéö",
    "Turkish": "çğıİöşüâî",
    "Baltic": "ąčęėįšųūžāēģīķļņōõäöü",
}
"""Small letters beyond ASCII; their capitals belong to them."""
FREQUENT = {
    "RUSSIAN": "оеаинтсрвлкмдпуяыьгзбчйхжшюцщэфъё",
    "UKRAINIAN": "оанивтреісклдмупязьбгйчхцшжющїєфґ",
    "BELARUSIAN": "аніерсктлоывпудзмбяьйгчцўшжхёюэф",
    "SERBIAN": "аоиенртсјукдвлпмзбгшчжцњћљхђџф",
    "GREEK": "αοιετσνηυρπκμλςάίόέήδγωύχώθφβξζψϊϋΐΰ",
    "HEBREW": "יוהלארמתבשנםדקחפכעטגןצסזץךף",
    "ARABIC": "اليمنوترةبعدسفهكقأحجشطصخزضءذثغئإآىظؤ",
    "THAI": "ารนกอเงมย\u0e31ล\u0e35ว\u0e48\u0e49ทดส\u0e34ต\u0e30ป\u0e37บคหแ\u0e38จพช\u0e39ขใไ"
    "\u0e4c\u0e47\u0e33โผซถศณธฟภญ",
}
"""The letters of other scripts, small ones where there are capitals, the most frequent first."""
USUAL = 0.75  # how common the letters of a text in its own script are
CONTROL = 1  # characters that a control character takes away
THAI = re.compile("[\u0e01-\u0e5b]+")
LOOSE_MARK = re.compile(
    "(?<![\u0e01-\u0e2e\u0e31-\u0e39\u0e47-\u0e4e])[\u0e31\u0e34-\u0e3a\u0e47-\u0e4e]"
)  # on no consonant
EAST = "\u3041-\u30ff\u4e00-\u9fff\uac00-\ud7af\uff01-\uff9f"
BESIDE_LETTERS = re.compile(
    f"(?<![{EAST}])[{EAST}](?=[A-Za-z])|(?<=[A-Za-z])[{EAST}](?![{EAST}])"
)  # alone beside a letter
SIGNS = "“”‘’„‚–—…•€°§²³©®™«»½¼¾£¥¢×±÷№·¡¿‰†\u00a0"
HANZI = (
    "的一是不了人我在有他这中大来上个国到说们为子和你地出道也时年得就那要下以生会自着去之过家学对可里后小么心多天而能好都然没日于起"
    "还发成事只作当想看文无开手十用主行方又如前所本见经头面公同三已老从动两长知民样现分将外但身些与高意进把法此实回二理美点月明其种"
    "声全工己话儿者向情部正名定女问力机给等几很业最间新什打便位因重被走电四第门相次东政海口使教西再平真听世气信北少关并内加化由却代"
    "军产入先山五太水万市眼体别处总才场师书比住员九笑性通目华报立马命张活难神数件安表原车白应路期叫死常提感金何更反合放做系计或司利"
    "受光王果亲界及今京务制解各任至清物台象记边共风战干接它许八特觉望直服毛林题建南度统色字请交爱让认算论百吃义科怎元社术结六功指思"
    "非流每青管夫连远资队跟带花快条院变联权往展该领传近留红治决周保达办运武半候七必城父强步完革深区即求品士转量空甚众技轻程告江语英"
    "基派满式李息写呢识极令黄德收脸钱党倒未持取设始版双历越史商千片容研像找友孩站广改议形委早房音火际则首单据导影失拿网香似斯专石若"
    "价格期份值销售绿蓝街寓积均男女是否州圳成都杭武汉南庆上京深层省县镇编号姓名性别龄地址电邮额率总类型码址"
)
HANZI_TRADITIONAL = (
    "的一是不了人我在有他這中大來上個國到說們為子和你地出道也時年得就那要下以生會自著去之過家學對可裡後小麼心多天而能好都然沒日於起"
    "還發成事只作當想看文無開手十用主行方又如前所本見經頭面公同三已老從動兩長知民樣現分將外但身些與高意進把法此實回二理美點月明其種"
    "聲全工己話兒者向情部正名定女問力機給等幾很業最間新什打便位因重被走電四第門相次東政海口使教西再平真聽世氣信北少關並內加化由卻代"
    "軍產入先山五太水萬市眼體別處總才場師書比住員九性通目華報立馬命張活難神數件安表原車白應路期叫常提感金何更反合放做系計或司利價格"
    "區域城縣鎮編號姓齡址銷售額率類型碼綠紅藍房街寓積均星份值品臺北高雄竹基隆嘉義花蓮南"
)
HANGUL = (
    "이다는에의가을한고를지도은하사기리어나로서자인아대시일수그정들있해전구장부공스상적조제보주성과동국원만여안중관세것으신계라대경화용연"
    "학비생산소유미진김박최강임오무간위문방발영선실물금모거교재체건행우청민품식년월가격날짜지역별남녀북포천울광종류형태면평균값판매색초빨파"
    "집업점번호이름명소개단통제재양외내입출목요토설반역결술력터마당드트테프크로그램"
)


UNUSUAL = {
    "French": re.compile(r"œ\b"),
    "Italian": re.compile(r"[àèéìíîòóùú]\B"),
    "Portuguese": re.compile("õ(?!e)"),
    "Turkish": re.compile("(?<![aeıioöuüâî])ğ"),
}
"""Letters where the language has none: Italian has accents at the end of words, Portuguese has õ before e."""
ICELANDIC = re.compile("[áíóúæ]", re.IGNORECASE)  # in any text of some words; Turkish has none of them
ORDINAL = re.compile("[ºª](?!\\w)|(?<!\\w)µ")  # at the end of a word, or before a unit
PARTNERS = {"“": "”", "”": "“„", "„": "“”", "«": "»", "»": "«"}


@cache
def _small() -> dict[str, frozenset[str]]:
    return {
        language: frozenset(letters + letters.upper().replace("SS", ""))
        for language, letters in LATIN.items()
    }


def naturalness(text: str) -> float:
    """The share of the characters beyond ASCII that are natural, from 0 to 1, in the language of which it is largest.

    >>> naturalness("Köln, Größe") > 0.99, naturalness("Kšln, GršŸe") < 0.7
    (True, True)
    """
    beyond = sum(1 for character in text if character > "\x7f")
    if not beyond:
        return 1.0
    if re.search("[\u3040-\u30ff\u4e00-\u9fff\uac00-\ud7af\uff61-\uff9f]", text):
        return _of_east_asia(text, beyond)
    counts = {**dict.fromkeys([*LATIN, *FREQUENT], 0.0), "THAI": float(_of_thai(text))}
    unlikely = () if ICELANDIC.search(text) else ("Icelandic",)
    for word in re.findall(r"[^\W\d_]+", text):
        letters = [letter for letter in word if letter > "\x7f"]
        if letters and _is_cased_well(word):
            for script in counts.keys() - {"THAI", *unlikely}:
                counts[script] += _belonging(script, word, letters)
    controls = len(re.findall("[\x80-\x9f\ufffd]", text))
    return max((max(counts.values()) + _good_signs(text) - CONTROL * controls) / beyond, 0.0)


def _belonging(script: str, word: str, letters: list[str]) -> float:
    """How many of a word's letters beyond ASCII are natural in a language or script."""
    if script in LATIN:
        unusual = len(UNUSUAL[script].findall(word.lower())) if script in UNUSUAL else 0
        known = sum(letter in _small()[script] for letter in letters)
        return max(known + len(ORDINAL.findall(word)) - unusual, 0)
    whole = len(letters) == len(word)  # no word has letters of two scripts
    if not whole:
        return 0.0
    return sum(letter.lower() in FREQUENT[script] for letter in letters)


def _of_thai(text: str) -> int:
    """How many characters are Thai in words of their own, with marks on consonants only."""
    count = 0
    for found in THAI.finditer(text):
        beside = text[max(found.start() - 1, 0) : found.start()] + text[found.end() : found.end() + 1]
        if not any(character.isalpha() for character in beside):
            count += len(found[0]) - 3 * len(LOOSE_MARK.findall(found[0]))
    return count


def _is_cased_well(word: str) -> bool:
    """Whether capitals are only where a word starts, or everywhere; and a final sigma only where it ends."""
    return (word.isupper() or word[1:].lower() == word[1:]) and "ς" not in word[:-1]


def _good_signs(text: str) -> int:
    """How many signs, such as quotes, stand where signs stand: not within a word."""
    count = 0
    for found in re.finditer(f"[{SIGNS}]", text):
        before, after = text[found.start() - 1 : found.start()], text[found.end() : found.end() + 1]
        beside = (before.isalpha(), after.isalpha())
        if found[0] in PARTNERS and any(beside):
            count += not all(beside) and any(partner in text for partner in PARTNERS[found[0]])
        elif found[0] in "’‘·\u00a0":
            count += 1
        elif found[0] in "¿¡№":
            count += not beside[0]
        elif found[0] in "…°²³®©":
            count += not all(beside)
        else:
            count += not any(beside)
    return count


def _of_east_asia(text: str, beyond: int) -> float:
    """As ``_frequent_in_east_asia``, less those that stand alone beside letters, where half of them is a letter."""
    return max(_frequent_in_east_asia(text, beyond) - 2 * len(BESIDE_LETTERS.findall(text)) / beyond, 0.0)


def _frequent_in_east_asia(text: str, beyond: int) -> float:
    """For Chinese, Japanese and Korean: how many characters are frequent ones, or kana among others."""
    kana = len(re.findall("[\u3040-\u30ff]", text))
    half = len(re.findall("[\uff61-\uff9f]", text))
    hangul = [letter for letter in text if "\uac00" <= letter <= "\ud7af"]
    hanzi = [letter for letter in text if "\u4e00" <= letter <= "\u9fff"]
    half += text.count("\ufffd")
    signs = len(re.findall("[\u3000-\u303f\uff01-\uff5e·‘’“”—…]", text))
    if hangul and len(hanzi) < 0.2 * len(hangul):
        return (
            _boosted(sum(letter in HANGUL for letter in hangul), len(hangul), 0.35)
            * (len(hangul) + signs)
            / beyond
        )
    if kana and 3 * kana > len(hanzi) / 2 and not hangul:
        return max(len(hanzi) + kana + signs - 2 * half, 0) / beyond
    frequent = max(sum(letter in common for letter in hanzi) for common in (HANZI, HANZI_TRADITIONAL))
    return _boosted(frequent, len(hanzi), 0.35) * max(len(hanzi) + signs - 2 * half - kana, 0) / beyond


def _boosted(frequent: int, count: int, enough: float) -> float:
    """1 where as many are among the frequent ones as in any text; less where they are few."""
    return min(1.0, frequent / (enough * count)) if count else 0.0


def commonness(text: str) -> float:
    """How frequent the letters of a text are in their script, from 0 to 1; it tells encodings that all give letters.

    >>> commonness("Москва") > commonness("лНЯЙБЮ")
    True
    """
    letters = [
        letter for letter in text if letter > "\x7f" and (letter.isalpha() or "\u0e00" < letter < "\u0e5c")
    ]
    best, found = USUAL, False
    for known in FREQUENT.values():
        places = [known.index(letter.lower()) for letter in letters if letter.lower() in known]
        if 2 * len(places) > len(letters):
            small = sum(letter.islower() or letter.lower() == letter.upper() for letter in letters) / len(
                letters
            )
            here = (1 - sum(places) / len(places) / len(known)) * (0.5 + small / 2)
            best = max(best, here) if found else here
            found = True
    return best
