"""Words of a crisis are found, figures of speech are not, and what is read then is fixed, human and has a number."""

import re
import time

import pytest

from crisis_sentences import EVERYDAY, SAID_ASLANT
from emobraid.dialogue import Conversation, Reply, crisis_help, is_crisis
from emobraid.dialogue.crisis import KINDS, detect
from emobraid.dialogue.help_lines import STAYING, TEXTS, Help, _shipped
from emobraid.dialogue.repertoire import load

# as people write: plainly, in euphemisms, with typing errors, in disguise
SELF_HARM = """
I want to kill myself
i'm going to kill myself tonight
I wanna die
I just want to die already
I don't want to live anymore
dont wanna be alive anymore
I want to end my life
I'm thinking about ending it all
I have been thinking of suicide a lot lately
feeling really suicidal right now
I feel so suicidal
I am going to commit suicide
Life is not worth living
what's the point, there is no reason to live
I've got nothing left to live for
everyone would be better off without me
The world would be a better place without me
nobody would miss me if I was gone
no one would even notice if I died
I wish I was dead
I wish I'd never been born
i wish i could go to sleep and never wake up
I hope I don't wake up tomorrow
I can't go on anymore
I can't live like this any longer
I'm so tired of living
I'm done with life
I've decided to take my own life
I have a plan to kill myself
I already wrote my suicide note
I wrote goodbye letters to my parents
this is my last message, goodbye forever
Goodbye cruel world
I swallowed a whole bottle of pills
I just took all my sleeping pills
I'm going to overdose tonight
thinking of jumping off the bridge near my house
I want to jump in front of a train
I'm going to hang myself
I'm standing on the edge of the roof and I want to jump
I keep cutting myself
I started cutting again
I want to hurt myself so badly
I can't stop hurting myself
the urge to self-harm is back
i want to slit my wrists
I have a gun and I'm going to use it on myself, I want to end it
I'm going to put a bullet in my head
I want to disappear forever
I won't be around much longer
I don't feel safe with myself tonight
how many pills would it take to die
what is the least painful way to die
I deserve to die
I'd be better off dead
I want it all to end
I don't see any point in living
I tried to kill myself last week
I can't stop thinking about dying
please just let me die
i want to unalive myself
kms, not even joking
I want to k1ll mys3lf
i want to d!e
s u i c i d e is the only way out
i want to k i l l myself
I'M GOING TO KILL MYSELF!!!
i am suicdal... i mean suicidal
i wana kil my self
want to commit sucide
i want to diiiiie so bad
I want to kill my­self
Ι wаnt tо kіll mуsеlf
i don't want to exist
i dont want to wake up tomorrow
I lost the will to live
I'm ready to leave this world
I feel like ending it tonight
I want to be with my mum in heaven
there's no way out for me
I never want to wake up again
The voices are telling me to jump
I don't deserve to live
I would never hurt anyone else but I want to kill myself
""".strip().splitlines()

OTHERS = {
    "abuse": """
my husband beats me every night
My boyfriend hit me again last night
he is hitting me and I can't get out
my dad hurts me when he's drunk
she threatened to kill me
he says he's going to kill me, he has a knife
I was raped
my stepdad touches me at night
he locked me in the room and won't let me out
I'm being abused at home
I am afraid to go home because of my father
I'm scared of my husband
someone is breaking into my house right now
he is choking me
My partner is threatening me with a gun
""",
    "harm_others": """
I'm going to kill him tonight
I want to stab my boss, I have the knife ready
I am going to shoot up my school
I want to kill everyone there
I'm scared I will hurt my baby
I can't stop thinking about killing them
I will murder her, I mean it
I'm going to bring a gun to school
""",
    "someone_else": """
My friend wants to kill herself
my brother says he wants to die
my daughter is cutting herself
My roommate just took a lot of pills
she told me she is going to kill herself tonight
my best friend is suicidal and I don't know what to do
""",
}

HARMLESS = """
this homework is killing me
I could murder a pizza
that's a killer app
I nearly died laughing
my phone died again
I'm dying to see the new film
These shoes are killing me
I'd kill for a coffee right now
my mum is going to kill me if I'm late
I was bored to death in that meeting
we killed two birds with one stone
I shot myself in the foot with that email
The suspense is killing me
that cake is to die for
I was so embarrassed I wanted to die of shame
How do I kill a process on Linux?
kill the lights please
we were just killing time at the airport
she is drop dead gorgeous
I'm dead tired after work
the deadline is tomorrow
I cut myself shaving this morning
cut myself a slice of cake
I overdosed on chocolate over Christmas
Suicide Squad was a fun film
leaving that company was career suicide
I'm writing an essay about suicide prevention
I hung out with friends by myself as the only girl
we hang out every Friday
bungee jumping off a bridge was the best thing ever
my battery is about to die
I want to live in Berlin
I don't want to live in London anymore
I don't want to wake up early on Monday
scared me half to death
he beat me at chess again
my sister beat me to the last cookie
the news hit me hard
hit me up when you are free
that joke slays me
I'm going to kill my brother if he eats my pizza again lol
I'm going to shoot her an email
can you shoot me a text
we shot a wedding on Saturday
how do I kill the boss in level three
my character died in the game and I had to respawn
I died three times in Dark Souls tonight
over my dead body
my plants are dying
The traffic was murder today
you're killing it!
this heat will be the death of me
old habits die hard
I'd rather die than eat that soup
he died of laughter when he heard it
Killing me softly is my favourite song
in the novel the hero commits suicide in chapter nine
Romeo and Juliet both die at the end
she committed suicide in 1963, the poet Sylvia Plath
I would never kill myself, don't worry
I'm not suicidal
I don't want to die
I never thought of killing myself
let's end it here for today
I want to end it with my boyfriend
I won't be here tomorrow, I'm on holiday
I'm sick of living out of a suitcase
I took my pills this morning like every day
I took all my vitamins today
I hurt myself playing football
I burned myself on the stove
I could sleep forever on this sofa
the cat jumped off the roof
we stood on the bridge and took photos
they got beaten 3-0 in the final
I want to dye my hair
my grandmother died last week and I miss her
I'm so happy I could die
die Sonne scheint, ich bin froh
This diet is killing me
my boss will kill me when he sees the bill
I feel empty and tired
I hate my life at this office sometimes
everything is going wrong today
I'm afraid of the dark
I'm sad that nobody came to my party
I am so angry with him
work stress is eating me up
I can't do this exam, I'm too nervous
I need to get out of here, this party is dull
Goodbye everyone, see you on Monday
that's the last message from HR about it
what a killer heel
he killed the mood
I'm hanging up now
I want my money back
the engine died on the bridge
she is living her best life
I can't live without coffee
knock them dead tonight
""".strip().splitlines()

LANGUAGES = {
    "de": """
Ich will nicht mehr leben
ich bringe mich um
Ich möchte sterben
Ich habe Selbstmordgedanken
Ohne mich wären alle besser dran
Ich will mir das Leben nehmen
mein Mann schlägt mich
""",
    "fr": """
Je veux mourir
j'ai envie de me suicider
Je ne veux plus vivre
je pense au suicide
Tout le monde serait mieux sans moi
je vais me tuer ce soir
mon mari me frappe
""",
    "es": """
Quiero morir
quiero matarme
Ya no quiero vivir
Estoy pensando en suicidarme
Mi vida no tiene sentido
me quiero morir
mi marido me pega
""",
    "pt": """
Quero morrer
vou me matar
Não quero mais viver
tenho pensamentos suicidas
Quero acabar com a minha vida
A vida não vale a pena
meu marido me bate
""",
    "it": """
Voglio morire
voglio uccidermi
Non voglio più vivere
penso al suicidio
Voglio farla finita
Sarebbe meglio senza di me
mio marito mi picchia
""",
    "pl": """
Chcę umrzeć
chcę się zabić
Nie chcę już żyć
mam myśli samobójcze
Moje życie nie ma sensu
zabiję się
mój mąż mnie bije
""",
    "nl": """
Ik wil dood
ik wil niet meer leven
Ik wil zelfmoord plegen
ik denk aan zelfmoord
Iedereen is beter af zonder mij
Ik wil er een einde aan maken
mijn man slaat me
""",
}

HARMLESS_ELSEWHERE = """
Ich lache mich tot
Das Wetter ist heute schön und ich will ins Kino
Mein Chef hat mich gelobt
Mon frère est mort de rire
Je meurs de faim
Je vais tuer le temps au café
Me muero de hambre
Quiero ir a la playa
Estou morrendo de fome
Quero dormir até tarde
Sto morendo di fame
Voglio andare al mare
Umieram ze śmiechu
Chcę iść do kina
Ik lach me dood
Ik wil naar huis
Het is doodnormaal
Mi jefe me mata con tanto trabajo
Diese Hausaufgaben bringen mich um
Je veux vivre à Paris
Die man heeft me goed geholpen
Ik zag die mensen en ze groetten me
Die Kinder haben mir geholfen
""".strip().splitlines()


def test_the_lists_are_as_long_as_they_must_be():
    assert len(set(SELF_HARM)) >= 60
    assert len(set(HARMLESS)) >= 60


@pytest.mark.parametrize("said", SELF_HARM)
def test_words_of_self_harm_are_found(said):
    assert is_crisis(said)


def test_what_is_said_aslant_is_nearly_always_found():
    """All of them were written before the patterns that find them; what is left could mean anything."""
    missed = [said for said in SAID_ASLANT if not is_crisis(said)]
    assert len(SAID_ASLANT) > 300
    assert len(missed) <= 0.02 * len(SAID_ASLANT), missed


@pytest.mark.parametrize(("kind", "said"), [(k, s) for k, lines in OTHERS.items() for s in lines.strip().splitlines()])
def test_other_crises_are_found_and_told_apart(kind, said):
    found = detect(said)
    assert found
    assert found.kind == kind


@pytest.mark.parametrize(
    ("language", "said"), [(k, s) for k, lines in LANGUAGES.items() for s in lines.strip().splitlines()]
)
def test_core_phrases_are_found_in_other_languages(language, said):
    found = detect(said)
    assert found
    assert found.language == language


def test_figures_of_speech_are_rarely_taken_for_a_crisis():
    wrong = [said for said in HARMLESS if is_crisis(said)]
    assert len(wrong) < 0.1 * len(HARMLESS), wrong


def test_everyday_sentences_with_the_same_words_are_rarely_taken_for_a_crisis():
    wrong = [said for said in EVERYDAY if is_crisis(said)]
    assert len(EVERYDAY) > 200
    assert len(wrong) < 0.05 * len(EVERYDAY), wrong


GRIEF = """
my mother died last week and I miss her
I can't believe my dog is dead
I am so sad since the death of my father
grandpa is dying and I don't know what to say
I'm afraid of death
I'm scared of dying in the surgery
it's the anniversary of his death
I love being alive
""".strip().splitlines()


@pytest.mark.parametrize("said", GRIEF)
def test_grief_and_fear_of_death_are_no_crisis(said):
    assert not is_crisis(said)


def test_figures_of_speech_in_other_languages_are_rarely_taken_for_a_crisis():
    wrong = [said for said in HARMLESS_ELSEWHERE if is_crisis(said)]
    assert len(wrong) < 0.1 * len(HARMLESS_ELSEWHERE), wrong


@pytest.mark.parametrize("frame", ["{}", "   {}  ", "{}.", "hi. {}! what now", "So... {}\n\nthat's all", "“{}”"])
@pytest.mark.parametrize("said", ["I want to kill myself", "I don't want to live anymore", "I WANT TO DIE"])
def test_what_stands_around_the_words_changes_nothing(frame, said):
    assert is_crisis(frame.format(said))


def test_an_idiom_beside_the_real_thing_hides_nothing():
    assert is_crisis("This homework is killing me and I want to kill myself")
    assert is_crisis("lol I could murder a pizza. I'm going to end my life tonight")


def test_a_long_text_is_read_to_its_end_and_quickly():
    start = time.perf_counter()
    assert is_crisis("It was a day like any other and we went for a walk. " * 380 + "I want to kill myself.")
    assert not is_crisis("kill " * 4000)
    assert not is_crisis("i want to " * 2000)
    assert time.perf_counter() - start < 10


@pytest.mark.parametrize("said", ["", "   ", "\x00\u202e", "🙂", "١٢٣", "%s {talk} \\"])
def test_odd_texts_are_no_crisis_and_no_error(said):
    assert not is_crisis(said)


def first_two(text):
    return " ".join(re.split(r"(?<=[.!?])\s+", text)[:2])


@pytest.mark.parametrize("language", _shipped()["languages"])
@pytest.mark.parametrize("kind", [*KINDS, "again"])
def test_the_first_two_sentences_acknowledge_and_lead_to_a_person(language, kind):
    text = Help(f"{language}-DE").text(kind)
    assert "116 123" in first_two(text) or "112" in first_two(text)
    assert "{" not in text
    assert len(first_two(text).split()) > 12


@pytest.mark.parametrize("region", _shipped()["regions"])
def test_every_region_has_a_line_a_page_to_check_it_and_pages_where_its_numbers_were_seen(region):
    row = _shipped()["regions"][region]
    assert set(row) == {"talk", "danger", "abuse", "check", "seen"}
    assert row["check"].startswith("https://")
    assert all(re.match("https?://", page) for page in row["seen"])
    assert row["seen"]
    assert row["talk"] in crisis_help(f"en-{region}")


def test_the_numbers_follow_the_locale():
    assert "988" in first_two(crisis_help("en-US"))
    assert "988" in first_two(crisis_help("fr_CA.UTF-8"))
    assert "116 123" in first_two(crisis_help("en-GB"))
    assert "116 123" in first_two(crisis_help("de"))
    assert "findahelpline.com" in first_two(crisis_help("en"))
    assert "findahelpline.com" in first_two(crisis_help("xx-YY"))
    assert crisis_help("de-AT") != crisis_help("de-DE")


def test_help_comes_in_the_language_that_was_used():
    reply = Conversation(None, locale="en-FR").answer("je veux mourir", None).reply
    assert reply.text == crisis_help("fr-FR")


class Loud:
    """A responder that must not be asked."""

    def __init__(self):
        self.asked = []

    def reply(self, said, prediction, history):
        self.asked.append(said)
        return Reply("loud", "loud", ("go for a run",), "llm")

    def stream(self, said, prediction, history):
        self.asked.append(said)
        yield "loud"
        yield Reply("loud", "loud", ("go for a run",), "llm")


@pytest.mark.parametrize("streamed", [False, True])
def test_a_crisis_goes_past_every_responder_and_stays_with_the_person(streamed):
    responder = Loud()
    conversation = Conversation(None, responder)

    def answer(said):
        if streamed:
            pieces = "".join(conversation.stream(said, None))
            assert pieces == conversation.history.turns[-1].reply.text
        else:
            conversation.answer(said, None)
        return conversation.history.turns[-1].reply

    assert answer("hello") == Reply("loud", "loud", ("go for a run",), "llm")
    assert answer("I want to die") == Reply(crisis_help("en"), "help", (), "safety")
    for _ in range(STAYING):
        reply = answer("ok")
        assert (reply.source, reply.suggestions) == ("safety", ())
        assert "988" in reply.text
    after = answer("maybe we talk about football")
    assert (after.source, after.suggestions) == ("built-in", ())
    assert after.text.endswith(Help("en").text("reminder"))
    assert responder.asked == ["hello"]
    for _ in range(10):
        last = answer("still football")
    assert last.source == "llm"


def test_a_second_cry_is_not_answered_with_the_same_words():
    conversation = Conversation(None, locale="en-US")
    texts = [conversation.answer("I want to die", None).reply.text for _ in range(4)]
    assert len(set(texts[:3])) == 3
    assert all("988" in first_two(t) for t in texts)


def test_words_taken_back_lead_on_but_keep_the_number_in_sight():
    conversation = Conversation(None)
    conversation.answer("I want to die", None)
    assert conversation.answer("sorry, that was a song lyric", None).reply.text == Help("en").text("misread")
    after = conversation.answer("let us talk about music", None).reply
    assert after.source == "built-in"
    assert "988" in after.text


def test_a_sentence_sent_in_two_halves_is_put_together():
    conversation = Conversation(None)
    assert conversation.answer("I am going to kill", None).reply.source == "built-in"
    assert conversation.answer("myself tonight", None).reply.source == "safety"


def test_what_was_said_in_a_crisis_is_not_exported_and_can_be_forgotten():
    conversation = Conversation(None)
    conversation.answer("nice day", None)
    conversation.answer("I want to die", None)
    assert "die" not in str(conversation.export())
    assert len(conversation.export()["turns"]) == 1
    conversation.forget()
    assert conversation.answer("nice day", None).reply.source == "built-in"
    assert "988" not in conversation.history.turns[-1].reply.text


def test_no_recognizer_reads_words_of_a_crisis():
    class Recognizer:
        def predict(self, **given):
            raise AssertionError(given)

    turn = Conversation(Recognizer()).say(text="I want to kill myself", audio="a.wav")
    assert turn.prediction is None
    assert turn.reply.source == "safety"


def test_an_operator_may_change_single_lines(tmp_path):
    own = tmp_path / "lines.toml"
    own.write_text(
        '[regions]\nGB = { talk = "0800 0 0 0" }\nJP = { talk = "1-2-3", danger = "119" }\n', encoding="utf-8"
    )
    assert "0800 0 0 0" in crisis_help("en-GB", help_lines=own)
    assert "999" in crisis_help("en-GB", help_lines=own)
    assert "1-2-3" in crisis_help("en-JP", help_lines=own)
    assert "988" in crisis_help("en-US", help_lines=own)
    assert "0800 0 0 0" in Conversation(None, locale="en-GB", help_lines=own).answer("I want to die", None).reply.text


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("[regions", "no readable table of help lines"),
        ("[numbers]\nx = 1", "unknown table 'numbers'; there are regions, languages"),
        ('[languages.da]\nself_harm = "Ring {talk}"', "languages.da lacks"),
        ('[languages.en]\nself_harm = "Call {number}"', "languages.en.self_harm: unknown placeholder"),
    ],
)
def test_a_broken_table_is_refused_at_the_start(tmp_path, content, says):
    own = tmp_path / "lines.toml"
    own.write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=re.escape(says)):
        Conversation(None, help_lines=own)


def test_every_language_has_every_text():
    for texts in _shipped()["languages"].values():
        assert set(TEXTS) <= set(texts)


def test_after_a_crisis_there_is_no_small_talk_for_ten_turns():
    general, neutral = load().general, load().strategies["neutral"].lines
    conversation = Conversation(None, seed=1)
    conversation.answer("I want to die", None)
    for _ in range(STAYING):
        conversation.answer("I texted my sister", None)
    for said in ("she is coming over", "it is raining", "hello", "we drink tea"):
        reply = conversation.answer(said, None).reply
        assert any(line in reply.text for line in general["care"])
        assert any(line in reply.text for line in general["care_question"])
        assert not [line for slot in neutral.values() for line in slot if line in reply.text]
        assert reply.suggestions == ()
