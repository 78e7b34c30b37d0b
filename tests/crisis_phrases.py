"""What people say in a crisis, in plain words and in several languages, and harmless sentences with the same words."""

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
