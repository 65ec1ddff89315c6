"""Function words: they shape a question and say nothing about its subject."""

from __future__ import annotations

import functools
from typing import Final

from sitebrook.retrieval.words import to_words

# The closed classes of each language: articles, pronouns, prepositions, conjunctions, auxiliaries,
# question words, and the adverbs and verbs that only carry a request ("please tell me how ...").
_FUNCTION_WORDS: Final = {
    "en": """
        a about after again all also am an and another any anybody anyone anything are aren as at
        be because been before being both but by can cannot could couldn did didn do does doesn
        doing don done each either else ever every for from get got had hadn has hasn have haven
        having he hello her here hers hi him his how i if in into is isn it its just let like ll
        many may maybe me might mine more most much must my myself need no nor not of off on once
        one only or other our ours out over own please re same shall she should shouldn so some
        somebody someone something such tell than thank thanks that the their theirs them then there
        these they this those through to too up us ve very want was wasn way we were weren what when
        where whether which while who whom whose why will with without won would wouldn yes yet you
        your yours yourself s t d m""",
    "it": """
        a abbia abbiamo ad agli ai al alcune alcuni alla alle allo anche ancora avere avete aveva
        c che chi ci ciao ciò co col come con cosa cosi così cui da dagli dai dal dalla dalle dallo
        degli dei del dell della delle dello deve devo di dire dove e ed era erano essere fa fare
        fatto gli grazie ha hai hanno ho i il in io l la le lei li lo loro lui ma me mi mia mie miei
        mio molto ne negli nei nel nella nelle nello no noi non nostra nostre nostri nostro o ogni
        per perché però più poi posso possono prego può qual quale quali quando quanta quante quanti
        quanto quel quella quelle quelli quello questa queste questi questo qui sarà se sei senza si
        sia siamo sì sono sta state stata stati stato su sua sue sugli sui sul sulla sulle suo suoi
        te ti tra fra tu tua tue tuo tuoi tutti tutto un una uno vi voi vorrei è d n s v""",
    "es": """
        a al algo algún alguna algunas alguno algunos ante antes aquel aquella aquello así aun aún
        bajo bien cada como cómo con contra cual cuál cuales cuáles cualquier cuando cuándo cuanta
        cuánta cuántas cuanto cuánto cuántos de debe debo decir del desde donde dónde dos durante e
        el él ella ellas ellos en entre era eran eres es esa esas ese eso esos esta está están estas
        este esto estos estoy fue fueron gracias ha había hace hacer han hasta hay he hola la las le
        les lo los más me mi mí mis mucho muy nada ni no nos nosotros nuestra nuestro o os otra
        otras otro otros para pero por porque puede pueden puedo que qué quién quien quiénes quiero
        se sea según ser si sí sido sin sobre son soy su sus también tan te tener tengo ti tiene
        tienen toda todas todo todos tu tú tus u un una unas uno unos usted ustedes y ya yo""",
    "fr": """
        a ai aie au aucun aussi autre autres aux avec avez avoir avons bonjour c ce ceci cela celle
        celles celui ces cet cette ceux chaque chez ci combien comme comment d dans de depuis des
        deux dit dois doit donc dont du elle elles en encore es est et étaient était été être eu eux
        fait faire faut font il ils j je jusqu l la là le les leur leurs lui m ma mais me même mes
        merci moi mon n ne ni non nos notre nous on ont ou où par parce pas peu peut peux plus pour
        pourquoi pouvez puis qu quand que quel quelle quelles quels qui quoi s sa sans se sera ses
        si soit son sont sous sur t ta tes toi ton tous tout toute toutes très tu un une vers veux
        voici voilà vos votre vous voudrais y""",
    "de": """
        ab aber alle allem allen aller alles als also am an andere anderen auch auf aus bei beim bin
        bis bist bitte da dabei damit danke dann darf das dass dein deine dem den denn der des dich
        die dies diese diesem diesen dieser dieses dir doch dort du durch ein eine einem einen einer
        eines er es etwas euch euer für gegen geht gibt hab habe haben hallo hast hat hatte hatten
        hier hinter ich ihm ihn ihnen ihr ihre ihrem ihren im in ins ist ja jede jedem jeden jeder
        jedes kann kannst kein keine können könnte machen man mehr mein meine meinem meinen mich mir
        mit möchte muss müssen nach nein nicht nichts noch nun nur ob oder ohne sagen sehr sein
        seine seinem seinen sich sie sind so soll sollte sondern sonst über um und uns unser unter
        viel viele vom von vor wann war waren warum was weg weil welche welchem welchen welcher
        welches wenn wer werde werden weshalb wie wieder wieso will wir wird wo woher wohin wurde
        würde zu zum zur zwischen""",
    "pt": """
        a à ao aos aquela aquele aquilo as às até com como cada da das de dela dele deles depois
        desde deve dizer do dos e é ela elas ele eles em entre era essa esse esta está este eu faz
        fazer foi foram gostaria há isso isto já lhe mais mas me mesmo meu meus minha muito na não
        nas nem no nos nós nossa nosso num numa o obrigado olá onde os ou para pela pelo per pode
        podem por porque posso pra preciso qual quais quando quanto quantos que quem quero são se
        sem ser seu seus si sim só sobre somos sou sua suas também te tem têm tenho teu todas todo
        todos tu tua um uma uns você vocês""",
    "nl": """
        aan al alle als altijd andere ben bij daar dan dank dat de deze die dit doe doen door dus
        een en er ga gaat geen geweest haar had hallo heb hebben heeft hem het hier hij hoe hoeveel
        hun iets ik in is ja jaar je jij jouw jullie kan kunnen maar maken mag me meer men met mij
        mijn moet moeten na naar niet niets nog nu of om omdat onder ons onze ook op over te tegen
        toch toe tot u uit uw van veel voor waar waarom wanneer want was wat we welk welke wel werd
        wie wij wil willen word worden wordt zal ze zeer zelf zich zij zijn zo zonder zou""",
}


@functools.cache
def stop_words(languages: frozenset[str]) -> frozenset[str]:
    """The function words of the languages that have a list, as the index knows them."""
    return frozenset(
        word
        for language in languages & _FUNCTION_WORDS.keys()
        for word in to_words(_FUNCTION_WORDS[language], language)
    )


@functools.cache
def all_function_words() -> frozenset[str]:
    """The function words of all lists, folded and not stemmed."""
    return frozenset(word for text in _FUNCTION_WORDS.values() for word in to_words(text, ""))
