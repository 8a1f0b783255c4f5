"""Words of 22 languages, and the encodings that their tables come in, for tests of how encodings are found out."""

LANGUAGES = {
    "polish": (
        (
            "Łódź Kraków Gdańsk Wrocław Poznań Częstochowa Rzeszów Białystok Zielona Góra Toruń wartość "
            "miesiąc cena sprzedaż województwo żółty święta gęś dąb łąka źródło ćwiczenie piątek środa "
            "książka ulica mieszkanie powierzchnia ogród średnia "
        ),
        ["cp1250", "iso8859_2"],
    ),
    "czech": (
        (
            "Praha Brno Ostrava Plzeň Liberec Olomouc České Budějovice Hradec Králové Ústí nad Labem "
            "Pardubice příjem výdaje měsíc cena kraj žlutý kůň černý řeka dům město věk jméno příjmení účet "
            "počet průměr hodnota čtvrtek pátek "
        ),
        ["cp1250", "iso8859_2"],
    ),
    "hungarian": (
        (
            "Budapest Debrecen Szeged Miskolc Pécs Győr Nyíregyháza Kecskemét Székesfehérvár Szombathely "
            "érték hónap ár megye összeg év név zöld fehér kék őszi tűz műszaki gyümölcs könyv út kerület "
            "lakás terület átlag péntek hétfő "
        ),
        ["cp1250", "iso8859_2"],
    ),
    "russian": (
        (
            "Москва Санкт-Петербург Новосибирск Екатеринбург Казань Нижний Новгород Челябинск Самара Омск "
            "цена дата город область месяц год значение продажи товар зелёный красный синий дом улица "
            "квартира площадь среднее пятница среда книга "
        ),
        ["cp1251", "koi8_r", "iso8859_5", "cp866", "mac_cyrillic"],
    ),
    "ukrainian": (
        (
            "Київ Харків Одеса Дніпро Львів Запоріжжя Кривий Ріг Миколаїв Вінниця ціна дата місто область "
            "місяць рік значення продаж товар зелений червоний синій будинок вулиця квартира площа середнє "
            "п'ятниця середа її є ґанок "
        ),
        ["cp1251", "koi8_u"],
    ),
    "bulgarian": (
        (
            "София Пловдив Варна Бургас Русе Стара Загора Плевен Сливен цена дата град област месец година "
            "стойност продажби стока зелен червен син къща улица апартамент площ средно петък сряда книга "
        ),
        ["cp1251"],
    ),
    "greek": (
        (
            "Αθήνα Θεσσαλονίκη Πάτρα Ηράκλειο Λάρισα Βόλος Ιωάννινα Τρίκαλα Χαλκίδα τιμή ημερομηνία πόλη "
            "περιοχή μήνας έτος αξία πωλήσεις προϊόν πράσινο κόκκινο μπλε σπίτι οδός διαμέρισμα εμβαδόν "
            "μέσος Παρασκευή Τετάρτη βιβλίο "
        ),
        ["cp1253", "iso8859_7"],
    ),
    "turkish": (
        (
            "İstanbul Ankara İzmir Bursa Antalya Konya Şanlıurfa Gaziantep Eskişehir Diyarbakır fiyat tarih "
            "şehir bölge ay yıl değer satış ürün yeşil kırmızı mavi ev sokak daire alan ortalama Cuma "
            "Çarşamba kitap ağaç göl "
        ),
        ["cp1254"],
    ),
    "hebrew": (
        (
            "ירושלים תל אביב חיפה ראשון לציון פתח תקווה אשדוד נתניה באר שבע מחיר תאריך עיר אזור חודש שנה ערך "
            "מכירות מוצר ירוק אדום כחול בית רחוב דירה שטח ממוצע "
        ),
        ["cp1255"],
    ),
    "arabic": (
        (
            "القاهرة الرياض بغداد دمشق بيروت عمان الدوحة مسقط الكويت السعر التاريخ المدينة المنطقة الشهر "
            "السنة القيمة المبيعات المنتج أخضر أحمر أزرق بيت شارع شقة المساحة المتوسط الجمعة "
        ),
        ["cp1256"],
    ),
    "japanese": (
        (
            "東京 大阪 名古屋 札幌 福岡 京都 神戸 横浜 仙台 広島 価格 日付 都市 地域 "
            "月 年 値 売上 商品 みどり あかい タワー ホテル りんご さくら ひらがな カタカナ 平均 金曜日 "
            "水曜日 本 "
        ),
        ["shift_jis", "euc_jp"],
    ),
    "chinese": (
        (
            "北京 上海 广州 深圳 成都 杭州 武汉 西安 南京 重庆 价格 日期 城市 地区 月份 年份 "
            "数值 销售 商品 绿色 红色 蓝色 房子 街道 公寓 面积 平均 星期五 男 女 是 否 "
        ),
        ["gb18030", "gb2312"],
    ),
    "taiwan": (
        (
            "臺北 高雄 臺中 臺南 新竹 基隆 嘉義 花蓮 價格 日期 城市 地區 月份 "
            "年份 數值 銷售 商品 綠色 紅色 藍色 房子 街道 公寓 面積 平均 星期五 "
        ),
        ["big5"],
    ),
    "korean": (
        (
            "서울 부산 대구 인천 광주 대전 울산 수원 가격 날짜 도시 지역 월 연도 "
            "값 판매 상품 초록 빨강 파랑 집 거리 아파트 면적 평균 금요일 수요일 책 "
        ),
        ["euc_kr"],
    ),
    "german": (
        (
            "Köln München Düsseldorf Nürnberg Lübeck Saarbrücken Göttingen Würzburg Osnabrück Gießen Größe "
            "Straße Fläche Jänner grün weiß schwarz gelb Übung Äpfel Öl Müller Schröder Weiß Käse Brötchen "
            "Tür Höhe "
        ),
        ["cp1252", "mac_roman", "cp850"],
    ),
    "french": (
        (
            "Orléans Besançon Nîmes Béziers Évreux Saint-Étienne Mâcon Angoulême Périgueux prix date ville "
            "région mois année valeur été hiver forêt élève façade garçon noël où déjà marché château "
            "préfecture "
        ),
        ["cp1252", "mac_roman", "cp850"],
    ),
    "spanish": (
        (
            "Málaga Córdoba Cádiz León Ávila Jaén Logroño A Coruña Badajoz precio fecha ciudad región mes "
            "año valor niño señal rápido también más día sábado miércoles corazón avión pingüino "
        ),
        ["cp1252", "mac_roman", "cp850"],
    ),
    "portuguese": (
        (
            "São Paulo Brasília Belém Florianópolis Goiânia Maceió São Luís Vitória preço data cidade região "
            "mês ano valor maçã coração ações não também município área média terça sábado avô "
        ),
        ["cp1252", "mac_roman", "cp850"],
    ),
    "swedish": (
        (
            "Malmö Västerås Örebro Linköping Jönköping Norrköping Umeå Gävle Borås Växjö pris år månad värde "
            "grön blå röd hus gata lägenhet yta medel fredag lördag söndag äpple öl ö "
        ),
        ["cp1252", "mac_roman", "cp850"],
    ),
    "thai": (
        (
            "กรุงเทพ เชียงใหม่ ภูเก็ต ขอนแก่น นครราชสีมา ชลบุรี ราคา วันที่ เมือง ภาค เดือน ปี ค่า ขาย "
            "สินค้า เขียว แดง น้ำเงิน บ้าน ถนน "
        ),
        ["cp874"],
    ),
    "baltic": (
        (
            "Vilnius Kaunas Klaipėda Šiauliai Panevėžys Rīga Daugavpils Liepāja Jelgava Jūrmala kaina mėnuo "
            "vertė žalias raudonas mėlynas namas gatvė butas plotas vidurkis penktadienis trečiadienis gads "
            "mēnesis vērtība zaļš "
        ),
        ["cp1257"],
    ),
    "romanian": (
        (
            "Bucureşti Iaşi Timişoara Braşov Galaţi Constanţa Piteşti Târgu Mureş preţ dată oraş regiune "
            "lună an valoare vânzări produs roşu verde galben casă stradă apartament suprafaţă medie vineri "
            "sâmbătă ţară "
        ),
        ["cp1250", "iso8859_2"],
    ),
}
