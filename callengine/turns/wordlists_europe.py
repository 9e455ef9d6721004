"""The words of turn-taking in German, Spanish, French, Italian, Dutch and Portuguese. See `callengine.turns.wordlists`.

Shorter than the English lists: words that often close a sentence in the language (German "an", "ein", "mit" behind
their verb) are not among the openers, so that a whole sentence is not kept waiting.
"""

from __future__ import annotations

from collections.abc import Mapping

_HUMS = "mm hm, mm hmm, mm, hm, hmm, mhm, mmhm, mhmm, m hm, uh huh, okay, ok, aha, ah, oh"
_SUBTITLES = "subtitles by the amara org community, blank audio"

_GERMAN = {
    "backchannels": (
        f"{_HUMS}, ja, jaja, ja ja, genau, richtig, stimmt, klar, alles klar, gut, sehr gut, prima, super, schön, "
        "verstehe, ich verstehe, verstanden, ach so, achso, in ordnung, einverstanden, natürlich, na klar, sicher, "
        "jawohl, jo, passt, das stimmt, das passt, ach ja, aha ja"
    ),
    "stop_words": (
        "stopp, stop, halt, warte, warten sie, warten sie mal, warte mal, moment, moment mal, einen moment, "
        "einen moment bitte, einen augenblick, augenblick, eine sekunde, sekunde, kleinen moment, bitte warten, "
        "nein nein, nein halt, nein warten sie, nein moment, nein ich, nein das, entschuldigung, entschuldigen sie, "
        "verzeihung, tut mir leid, sorry, hören sie, hören sie auf, genug, ruhe, aufhören, das reicht, "
        "vergessen sie es"
    ),
    "artefacts": (
        f"{_SUBTITLES}, untertitel der amara org community, untertitel im auftrag des zdf für funk, "
        "untertitelung des zdf, untertitel von stephanie geiges, untertitelung aufgrund der amara org community, "
        "vielen dank fürs zuschauen, danke fürs zuschauen, vielen dank für's zuschauen, danke für's zuschauen, "
        "abonniert den kanal, bis zum nächsten video"
    ),
    "fillers": "äh, ähm, öh, öhm, hm, hmm, mmm, em, lassen sie mich überlegen, mal überlegen, moment ich schaue",
    "greetings": "hallo, guten tag, guten morgen, guten abend",
    "leads": (
        "hallo, guten tag, guten morgen, guten abend, also, und, aber, nein, bitte, danke, na, so, oh, ach, ja also"
    ),
    "binding": (
        "der, dem, den, des, ein, einen, einem, einer, eines, mein, meine, meinen, meinem, meiner, ihr, ihren, ihrem, "
        "unser, unsere, unseren, und, oder, aber, weil, dass, ob, denn, wenn, mein name ist, ich möchte, "
        "ich würde gern, ich möchte gern, ich möchte gerne, ich würde gerne, ich hätte gern, ich hätte gerne, "
        "wir möchten"
    ),
    "openers": (
        "eine, ihre, um die, für die, in die, auf die, für, von, vom, zum, zur, im, in, am, beim, bei, ins, durch, "
        "ohne, gegen, über, zwischen, seit, bis, wegen, während, um, ich, wir, ist, sind, bin, war, waren, wäre, "
        "wird, möchte, würde, könnte, müsste, sollte, dann, sehr, nicht nur, und dann, können sie, könnten sie, "
        "haben sie, ich habe, wir haben, es geht um, kann ich, ich wollte, ich brauche, halb, viertel nach, "
        "viertel vor, zum beispiel, so um, ungefähr, etwa, circa"
    ),
    "closed": (
        "ja bin ich, meine ich, glaube ich, denke ich, bin ich, das bin ich, bin ich nicht, habe ich, so ist es, "
        "das ist es, das war es, wie sie möchten, wenn ich möchte, wer sind sie, bis dann, na dann, also dann, "
        "was ist, wie ist, wo ist, wer ist, ja das möchte ich, möchte ich, wir auch, mit ihr, von ihr, "
        "kann ich nicht, wo bin ich, das kann ich"
    ),
    "beginnings": "das ist, es wäre, ich glaube, ich denke, kann ich, könnte ich, gibt es, das, haben sie, wissen sie",
}

_SPANISH = {
    "backchannels": (
        f"{_HUMS}, sí, si, sí sí, ajá, aja, claro, claro que sí, vale, bueno, bien, muy bien, perfecto, exacto, "
        "correcto, entiendo, ya, ya veo, de acuerdo, está bien, por supuesto, cierto, eso, eso es, genial, entendido, "
        "listo, dale"
    ),
    "stop_words": (
        "para, pare, alto, stop, espera, espere, espera un momento, espere un momento, un momento, momento, "
        "un momentito, un segundo, perdón, perdona, perdone, disculpe, disculpa, lo siento, no espera, "
        "no espere, no yo, basta, silencio, cállate, déjame hablar, déjeme hablar, escuche, escucha"
    ),
    "artefacts": (
        f"{_SUBTITLES}, subtítulos realizados por la comunidad de amara org, "
        "subtítulos por la comunidad de amara org, gracias por ver el video, gracias por ver el vídeo, "
        "gracias por ver, suscríbete, suscríbete al canal, no olvides suscribirte"
    ),
    "fillers": (
        "eh, em, ehm, mmm, hm, hmm, este, déjame ver, déjeme ver, a ver, vamos a ver, déjame pensar, déjeme pensar"
    ),
    "greetings": "hola, buenos días, buenas tardes, buenas noches",
    "leads": (
        "hola, buenos días, buenas tardes, buenas noches, bueno, pues, y, pero, no, perdón, gracias, oiga, mire, oh"
    ),
    "binding": (
        "el, la, los, las, un, una, unos, unas, mi, mis, tu, su, sus, nuestro, nuestra, y, o, pero, porque, que, de, "
        "del, al, mi nombre es, me llamo, quiero, quisiera, me gustaría, necesito"
    ),
    "openers": (
        "en, con, sin, por, para, desde, hasta, entre, sobre, hacia, a, es, son, era, está, están, muy, más o menos, "
        "se llama, saber si, tengo, tenemos, hay, puede, podría, puedo, quería, cuando, como, si no, aunque, "
        "alrededor de, a las, tiene, voy a, vamos a"
    ),
    "closed": (
        "qué es, quién es, cómo es, sí es, así es, eso es, dónde está, cómo está, cómo están, qué hay, cuánto es, "
        "no hay, ya está, dónde es, sí puedo, no puedo, para qué, con qué, sí tengo, no tengo, si puede, no quiero, "
        "lo quiero, eso quiero, sí quiero, lo necesito"
    ),
    "beginnings": (
        "creo que, creo, me puede, podría, puede, hay, es que, lo que pasa, quería saber, quería preguntar, si"
    ),
}

_FRENCH = {
    "backchannels": (
        f"{_HUMS}, oui, ouais, oui oui, d'accord, d'acc, bien, très bien, bien sûr, parfait, exactement, exact, "
        "c'est ça, voilà, je vois, je comprends, compris, entendu, super, génial, ça marche, c'est bon, tout à fait, "
        "en effet, hum, c'est vrai, ah oui, ah bon, ah d'accord"
    ),
    "stop_words": (
        "stop, arrêtez, arrête, attendez, attends, attendez un instant, un instant, un moment, une seconde, "
        "une minute, un petit instant, deux secondes, pardon, excusez moi, excuse moi, désolé, désolée, "
        "je suis désolé, non non, non attendez, non je, non mais, ça suffit, silence, taisez vous, "
        "laissez moi parler, écoutez, oubliez"
    ),
    "artefacts": (
        f"{_SUBTITLES}, sous titres réalisés par la communauté d'amara org, "
        "sous titres réalisés para la communauté d'amara org, sous titrage société radio canada, "
        "sous titrage st' 501, merci d'avoir regardé cette vidéo, merci d'avoir regardé la vidéo, "
        "merci d'avoir regardé, abonnez vous, abonnez vous à la chaîne, n'oubliez pas de vous abonner"
    ),
    "fillers": (
        "euh, heu, hum, hm, hmm, mmm, ben, bah, laissez moi réfléchir, laissez moi voir, voyons, attendez je regarde"
    ),
    "greetings": "bonjour, bonsoir, salut, allô",
    "leads": "bonjour, bonsoir, salut, allô, alors, et, mais, non, pardon, merci, bon, eh bien, donc, oh, ah",
    "binding": (
        "le, la, les, un, une, des, du, de, d', l', qu', n', s', m', mon, ma, mes, ton, ta, votre, vos, notre, nos, "
        "leur, leurs, son, sa, ses, et, ou, mais, parce que, que, qu'il, je, j', au, aux, je m'appelle, mon nom est, "
        "je voudrais, j'aimerais, je veux"
    ),
    "openers": (
        "à, en, dans, avec, sans, pour, par, sur, sous, chez, vers, entre, depuis, jusqu'à, est, sont, était, c'est, "
        "il, elle, nous, on, qui, si, quand, comme, très, pouvez vous, pourriez vous, avez vous, est ce que, "
        "est ce qu'il, il y a, j'ai, nous avons, je suis, il faut, j'ai besoin, et puis, environ, ce serait, ça serait"
    ),
    "closed": (
        "où est, qui est, d'où est, entre nous, chez nous, avec nous, pour nous, à nous, et nous, allons y, comme ci, "
        "avec elle, pour elle, avec qui, pour qui, à qui, de qui, c'est qui, je suis là, y en a, il y en a, "
        "nous en avons, j'en ai besoin, il est, elle est"
    ),
    "beginnings": "je pense, je crois, je pense que, est ce, y a t il, je peux, puis je, il me faut, c'était, ça",
}

_ITALIAN = {
    "backchannels": (
        f"{_HUMS}, sì, si, sì sì, certo, certamente, va bene, bene, benissimo, perfetto, esatto, esattamente, giusto, "
        "capisco, capito, ho capito, d'accordo, ottimo, vero, ecco, appunto, naturalmente, infatti, chiaro"
    ),
    "stop_words": (
        "stop, ferma, si fermi, fermati, aspetta, aspetti, aspetti un attimo, aspetta un attimo, un attimo, "
        "un momento, un secondo, scusi, scusa, mi scusi, scusami, mi dispiace, no aspetti, no aspetta, no io, "
        "basta, silenzio, mi ascolti, ascolti, mi lasci parlare"
    ),
    "artefacts": (
        f"{_SUBTITLES}, sottotitoli creati dalla comunità amara org, sottotitoli e revisione a cura di qtss, "
        "grazie per aver guardato il video, grazie per la visione, iscriviti, iscriviti al canale, "
        "iscrivetevi al canale"
    ),
    "fillers": "ehm, eh, uhm, em, mmm, hm, hmm, mi faccia pensare, fammi pensare, vediamo, mi faccia vedere, come dire",
    "greetings": "ciao, buongiorno, buonasera, pronto",
    "leads": "ciao, buongiorno, buonasera, pronto, allora, e, ma, no, scusi, grazie, beh, dunque, oh, ah, senta",
    "binding": (
        "il, lo, la, i, gli, le, un, uno, una, un', l', mio, mia, miei, mie, suo, sua, nostro, nostra, e, o, ma, "
        "perché, che, di, del, della, dei, delle, dello, dell', al, alla, ai, alle, nel, nella, mi chiamo, "
        "il mio nome è, vorrei, voglio, ho bisogno"
    ),
    "openers": (
        "a, da, dal, dalla, in, con, su, sul, sulla, per, tra, fra, senza, verso, fino a, è, sono, era, ho, abbiamo, "
        "ha, può, potrebbe, posso, potrei, molto, se, quando, come, circa, c'è, ci sono, mi può, mi potrebbe, "
        "si chiama, volevo, devo, anche, poi"
    ),
    "closed": (
        "sì è, cos'è, chi è, dov'è, com'è, lo so, non lo so, perché no, ci sono, eccomi ci sono, quanti sono, "
        "quali sono, dove sono, di chi sono, sì posso, se posso, non posso, se può, se ha, io anche, anche, sì ho, "
        "non ho, sì lo voglio, lo voglio, il mio, la mia, è mio, è mia, il suo, la sua"
    ),
    "beginnings": (
        "credo, penso, credo che, penso che, c'è, ci sono, avete, è possibile, volevo sapere, volevo chiedere"
    ),
}

_DUTCH = {
    "backchannels": (
        f"{_HUMS}, ja, jaja, ja ja, precies, juist, klopt, dat klopt, goed, prima, oké, oke, natuurlijk, zeker, "
        "ik snap het, ik begrijp het, begrepen, helemaal goed, is goed, dat is goed, mooi, top, inderdaad, ach zo, "
        "tuurlijk, fijn"
    ),
    "stop_words": (
        "stop, wacht, wacht even, wacht eens, even wachten, een moment, een momentje, momentje, moment, een seconde, "
        "ogenblik, een ogenblik, één moment, nee nee, nee wacht, nee ik, sorry, pardon, excuseer, "
        "neem me niet kwalijk, genoeg, stil, luister, hou op, houd op, laat maar"
    ),
    "artefacts": (
        f"{_SUBTITLES}, ondertitels ingediend door de amara org gemeenschap, "
        "ondertiteld door de amara org gemeenschap, bedankt voor het kijken, bedankt voor het kijken naar deze video, "
        "abonneer, abonneer je op het kanaal, tv gelderland 2021, tv gelderland"
    ),
    "fillers": (
        "eh, ehm, uh, uhm, euh, hm, hmm, mmm, even denken, even kijken, laat me even denken, laat me even kijken"
    ),
    "greetings": "hallo, hoi, goedemorgen, goedemiddag, goedenavond",
    "leads": "hallo, hoi, goedemorgen, goedemiddag, goedenavond, nou, dus, en, maar, nee, sorry, bedankt, oh, ach, tja",
    "binding": (
        "de, het, een, mijn, uw, jouw, onze, ons, hun, en, of, maar, omdat, dat ik, want, van, ik, mijn naam is, "
        "ik heet, ik wil, ik wil graag, ik zou graag, ik zou, wij willen, we willen"
    ),
    "openers": (
        "voor, met, zonder, bij, naar, tot, tussen, sinds, vanaf, over, om, te, is, zijn, was, waren, ben, zou, zal, "
        "kan, heb, hebben, heeft, wordt, we, wij, als, wanneer, heel, erg, ongeveer, rond, kunt u, kan u, heeft u, "
        "heb je, ik heb, we hebben, het gaat om, en dan, half, kwart over, kwart voor"
    ),
    "closed": (
        "wat is het, ja dat is het, dat is het, dat was het, is het, was het, wie is het, hoe is het, waar is het, "
        "klopt het, gaat het, hoe gaat het, ik weet het, doe het, van ons, bij ons, voor ons, met ons, ja dat ben ik, "
        "ben ik, dat ben ik, wat is, als het kan, dat kan, ja dat kan, dat kan, dat zijn we, waarvoor, "
        "ik zou het willen, ik wil het, ik heb het, heb ik, doe ik, dat wil ik, ik ook, kan ik niet"
    ),
    "beginnings": "ik denk, ik denk dat, ik geloof, kan ik, mag ik, is er, zijn er, hebben jullie, ik vroeg me af, het",
}

_PORTUGUESE = {
    "backchannels": (
        f"{_HUMS}, sim, sim sim, claro, certo, tá, tá bom, está bem, está bom, bom, muito bem, ótimo, perfeito, "
        "exato, exatamente, isso, isso mesmo, entendi, entendo, percebo, pois, pois é, pois não, beleza, com certeza, "
        "correto, verdade, legal, de acordo, ok sim, uhum, aham"
    ),
    "stop_words": (
        "para, pare, parar, stop, espera, espere, espera aí, espere aí, espera um pouco, espere um pouco, um momento, "
        "um momentinho, um minuto, um segundo, só um momento, só um minuto, desculpe, desculpa, com licença, perdão, "
        "não não, não espera, não espere, não eu, chega, silêncio, deixa eu falar, deixe me falar, escuta, escute"
    ),
    "artefacts": (
        f"{_SUBTITLES}, legendas pela comunidade amara org, legendas pela comunidade de amara org, "
        "obrigado por assistir, obrigada por assistir, obrigado por assistirem, inscreva se, inscreva se no canal, "
        "não se esqueça de se inscrever"
    ),
    "fillers": "é que, hum, hm, hmm, mmm, ahn, ehm, hã, deixa eu ver, deixe me ver, deixa eu pensar, vamos ver, tipo",
    "greetings": "olá, oi, alô, bom dia, boa tarde, boa noite",
    "leads": (
        "olá, oi, alô, bom dia, boa tarde, boa noite, então, e, mas, não, desculpe, obrigado, obrigada, bem, oh, ah"
    ),
    "binding": (
        "o, a, os, as, um, uma, uns, umas, meu, minha, meus, minhas, seu, sua, nosso, nossa, e, ou, mas, porque, que, "
        "de, do, da, dos, das, no, na, nos, nas, ao, à, meu nome é, eu me chamo, chamo me, quero, eu quero, queria, "
        "gostaria, eu gostaria, preciso, eu preciso"
    ),
    "openers": (
        "em, com, sem, por, para, pra, pelo, pela, desde, até, entre, sobre, eu, é, são, era, está, estão, estou, "
        "tenho, temos, tem, há, pode, poderia, posso, muito, se, quando, como, mais ou menos, cerca, às, vou, vamos"
    ),
    "closed": (
        "sim é, o que é, quem é, como é, isso é, assim é, onde é, qual é, onde está, como está, sim tenho, não tenho, "
        "não tem, sim tem, não há, pode, sim pode, se pode, se posso, não pode, não posso, como vai, eu não, nem eu, "
        "sou eu, fui eu, já está, para quê, o meu, a minha, é meu, é minha, o seu, a sua, já vou, eu vou, não quero, "
        "sim quero, eu também quero, não preciso, se precisar, e o senhor, obrigado eu, muito, gosto muito"
    ),
    "beginnings": "acho, acho que, eu acho, eu acho que, será que, queria saber, gostaria de saber, você pode, tem, há",
}

EUROPE: Mapping[str, Mapping[str, str]] = {
    "de": _GERMAN,
    "es": _SPANISH,
    "fr": _FRENCH,
    "it": _ITALIAN,
    "nl": _DUTCH,
    "pt": _PORTUGUESE,
}
