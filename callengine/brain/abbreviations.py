"""Words that end in a period without ending a sentence, as data.

Collected by hand from what people are called and what agents say on the telephone: titles, companies, addresses,
times, references. Lower case, without the last period. Each kind is one rule of `callengine.brain.sentences`; the
fixtures of its test hold every kind.
"""

from __future__ import annotations

_EVERYWHERE = "dr mr mrs ms prof"

NEVER: dict[str, frozenset[str]] = {
    language: frozenset(f"{_EVERYWHERE} {words}".split())
    for language, words in {
        "en": (
            "messrs mx rev fr hon gen col capt cmdr lt sgt maj cpl gov sen rep pres supt mt ft e.g i.e cf approx vs viz"
        ),
        "it": "sig sig.ra sig.na sigg dott dott.ssa prof.ssa avv ing arch geom rag on egr gent spett p.es es cfr ca",
        "es": "sr sra srta sres sras dra d.ª d.ñ d.ña lic ing arq gral cnel ud uds vd vds p.ej ej ee cf av avda aprox",
        "de": "hr fr frl herrn dipl ing bzw ca z.b d.h u.a i.d.r o.ä evtl ggf inkl exkl bspw vgl sog zzgl abzgl mag nr",
        "fr": "mme mmes mlle mlles mm me pr st ste mgr c.-à-d p.ex ex env cf av bd boul",
        "pt": "sr sra srta srs sras dra d.ª eng arq p.ex ex av sta sto exmo exma",
    }.items()
}
"""Always followed by more of the same sentence."""

MAYBE: dict[str, frozenset[str]] = {
    language: frozenset(words.split())
    for language, words in {
        "en": (
            "etc inc ltd co corp llc jr sr st ave blvd rd dept est ph.d m.d b.a m.a esq apt jan feb aug sept oct nov "
            "dec ca mon tue tues wed thu thur thurs fri sat sun min max tel ext"
        ),
        "it": "ecc etc s.p.a s.r.l spa srl tel int min max gen feb apr mag giu lug ago set ott nov dic lun mer gio ven",
        "es": "etc s.a s.l uu cía tel ext mín máx ene feb abr ago sept oct nov dic",
        "de": "usw etc gmbh tel str jan feb apr aug sept okt nov dez mo di mi do fr sa so min max st",
        "fr": "etc s.a s.a.r.l tél janv févr avr juil sept oct nov déc lun mer jeu ven sam dim min max",
        "pt": "etc s.a ltda cia tel jan fev abr mai jun jul ago set out nov dez",
    }.items()
}
"""May end a sentence: they do where the next word is one that sentences start with."""

BEFORE_NUMBER: dict[str, frozenset[str]] = {
    language: frozenset(words.split())
    for language, words in {
        "en": "no nos p pp vol vols ch fig figs art sec para rm flt ver v",
        "it": "n nn nr num p pp pag pagg vol cap fig art artt par v c",
        "es": "n núm nro no p pp pág págs vol cap fig art c",
        "de": "nr s bd kap abb art abs ziff",
        "fr": "n no nos p pp vol chap fig art par",
        "pt": "n nº núm p pp pág págs vol cap fig art",
    }.items()
}
"""Not the end of a sentence where a number follows."""

STARTERS: dict[str, frozenset[str]] = {
    language: frozenset(words.split())
    for language, words in {
        "en": (
            "a after also an and any anything are as at but can could did do does for from have he here his how i "
            "i'll i'm i've if in is it it's its just let let's may maybe my no not now of oh ok okay on one or our "
            "perhaps please shall she should so some sorry sure thank thanks that that's the their then there there's "
            "these they they're this those to today tomorrow we we'll we're we've well were what what's when where "
            "which while who why will with would yes yesterday you you're your"
        ),
        "it": (
            "a abbiamo allora anche avete c'è che chi ci come con così cosa da del della di dopo dove e è ecco grazie "
            "ha hai ho i il in io l' la le lei li lo loro ma mi nel nella noi non o oggi ok per perché però più poi "
            "posso può qual quale quando quanti quanto quello quest' questa questo qui se senta si sì siamo sono su "
            "un un' una vi voi vuole"
        ),
        "es": (
            "a adónde ahora al allí algo así aunque bien claro como cómo con cuál cuándo cuánto de del desde después "
            "dónde el él ella en entonces es esa ese eso esta este esto está gracias ha hay he hoy la las le les lo "
            "los luego mañana me mi muy necesita no nos o para pero perfecto por porque puede puedo qué que quién "
            "quiere se sea si sí sin su sus también tenemos tiene todo un una usted vale y ya yo"
        ),
        "de": (
            "aber alle also am an auch auf bei bis bitte da dann danach danke darf das dass dazu dein den der des die "
            "dies diese dieser dort du ein eine einen er es für gern gerne gibt guten haben heute hier ich ihr ihre "
            "im in ist ja kann kein können man mein mit möchten morgen nach nein noch nun ob oder seit sie sind so "
            "soll sonst und uns unser vielen vom von vor wann war warum was wegen wenn wer wie wir wird wo wollen zu "
            "zum zur"
        ),
        "fr": (
            "à alors après au aussi avec avez bien bon c' car ce ces cela cette comme comment d' d'accord dans de "
            "demain des donc du elle elles en ensuite est et il ils j' je l' la là le les leur mais me merci moi n' "
            "ne non nos notre nous on ou où oui par parfait pas pour pourquoi pouvez puis quand que quel quelle qui "
            "s' sans se si sur tout un une vos votre voulez vous y"
        ),
        "pt": (
            "a agora ainda ao às aqui as até bem claro com como da de depois dia do e é ela ele eles em então esse "
            "esta está este eu foi há hoje isso isto já lhe mais mas me meu muito na não no nos nós o obrigada "
            "obrigado onde os ou para pela pelo por porque pode posso qual quando quanto que quem quer se sem ser seu "
            "sim só sua também tem temos tudo um uma vai você"
        ),
    }.items()
}
"""Words that sentences start with. A French or Italian elision is given with its apostrophe."""

ORDINALS = frozenset(
    {"de", "da", "nb", "nn", "no", "fi", "et", "cs", "sk", "pl", "hu", "hr", "sl", "sr", "bs", "is", "lv"}
)
"""Languages that write an ordinal number with a period, as in "am 3. Mai"."""
