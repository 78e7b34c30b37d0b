"""Sentences for the tests of the crisis patterns, written apart from them: how people say it aslant, in slang and with
typing errors, and figures of speech and everyday sentences that hold the same words."""

SAID_ASLANT = """
I don't want to wake up tomorrow
I hope I just don't wake up
everyone would be better off without me
my kids would be better off without me
they'd all be happier if I was gone
I'm such a burden to everybody, they'd be relieved if I died
honestly death sounds peaceful rn
ngl i wanna kms
gonna off myself
thinking about offing myself
i wanna unalive
i cant do this anymore i want out of life
can't take it anymore, I just want it to stop forever
I don't see a future for me
i have no future, whats the point of being alive
there's no point in me being here anymore
I shouldn't be alive
I shouldnt exist
I wish a car would hit me
I keep hoping I get hit by a bus
I wish I could just vanish and never come back
I've been stockpiling pills
I bought a rope today
I've written letters to everyone, they'll find them after
I gave my cat away because I won't be here next month
I won't be here for Christmas
you won't have to worry about me much longer
tonight is the night, I'm ending it
I'm going to end things tonight
I just wanna sleep forever
I want to go to sleep forever
I'm tired of being alive
sick of being alive
living is too hard, i want to give up on life
I give up on life
killing myself would solve everything
would anyone even care if I died
nobody would care if i was dead
who would even come to my funeral
I've been cutting my arms
I burned myself again last night
I hurt myself on purpose
i relapsed and cut last night
i want to bleed out
I wnat to dei
i want to kil myslef
i wanna dieee
plz let me die
suicide is the only answer
suicidal thoughts again
sucidal again
sewerslide
I want to sewer slide
kermit sewerslide
I looked up how to hang yourself
I'm standing on the bridge
i am on the roof and i wanna jump
I'm holding a knife to my wrist
the pills are in my hand
I took an overdose an hour ago
there is nothing keeping me here anymore
I can't see any way out except dying
I've lost the will to go on
I dont want to be here anymore, on this earth i mean
I don't want to be on this planet anymore
Life isn't worth it anymore
what is the point of living
i feel like dying
I feel like killing myself
I'd rather be dead than live like this
dying would be easier
it would be easier if I were dead
sometimes I think the world would be better without me in it
my mum would be better off if I were never born
ready to meet my maker, I have the gun here
I have a date set
I think about driving into a tree
I want to drive my car off the road
I thought about jumping today
my husband choked me last night
my dad punched me in the face again
he forces me to have sex with him
my uncle touches me when nobody is home
he said he'll kill me if I leave
I'm scared he will kill me
my wife throws things at me and hits me
my mom locks me in the basement
I want to strangle my roommate and I mean it
I'm going to hurt her tonight
i want to kill my stepfather, I know where his gun is
I'm thinking about shooting everyone at work
my son told me he doesn't want to live
my sister tried to kill herself last night
my friend posted a goodbye message and isn't answering
a friend of mine is talking about ending it
my girlfriend says she will kill herself if I leave
ich will morgen nicht mehr aufwachen
ohne mich wären alle besser dran
ich kann nicht mehr, ich will nicht mehr leben
no quiero despertar mañana
todos estarían mejor sin mí
je ne veux plus me réveiller demain
tout le monde serait mieux sans moi
je veux en finir
quiero acabar con todo
Sometimes I just want to not exist
my family deserves better than having me alive
i think im gonna do it tonight, end everything
I don't want to see another sunrise
every night I pray I won't wake up in the morning
i wish i was never here
It hurts so much I want to stop living
I just want this pain to end, permanently
I'm worthless and should be dead
they will be happier once i'm dead
im better of dead
I wouldnt mind not waking up
if I died tomorrow nobody would notice
what if I just ended it
I keep thinking about ways to end my life
thinking bout killin myself agen
im gonna kms if this doesnt stop
lowkey wanna die
i cba living anymore
I've had enough of life
I can't keep living
done living
life has no meaning anymore, I'm ending it
I swallowed a bunch of tylenol
took 40 paracetamol
I have the pills in front of me
I cut myself to feel something
the razor is calling me again
I feel the urge to cut
I scratched my arms till they bled because I hate myself
I don't want to exist anymore
I want to jump off a building
I'm at the train tracks
can you help me die
tell me how to kill myself painlessly
nothing matters, soon I will be gone
goodbye, thank you for listening, I won't write again
I promised myself I'd be dead by 30 and it is next week
my boyfriend hits me when he drinks
he broke my arm and told me not to tell anyone
I'm going to stab my brother
my best friend wants to end her life
my dad is talking about killing himself
my roommate overdosed, what do I do
Some days I think about just not being around
honestly i just wanna be dead
if it wasn't for my dog I'd have done it already
I don't want to be alive rn
I feel like my life is over and I want to end it
I've decided that this week will be my last
nobody needs me, I should just die
They'd be better without me
i want to go and never come back, like die
I'm planning my suicide
gonna jump tonight
I think I'm going to kill myself soon
I cant stop imagining my own funeral
I'm scared of what I might do to myself
my hands are shaking, I've got the rope round my neck
I drank bleach
I think I took too many of my pills
I'm cutting right now
there's blood everywhere, I cut too deep
I burn my skin with a lighter so I feel something
just let me go, I want to die in peace
I want to be dead so bad
i do not wish to live
living is pointless
no one will miss me
it would be better if I had never existed
The only way out is to die
I see no way to keep living
I'm ready to go, I said my goodbyes
please help I want to kill myself
i'm so sucidal rn
My life isn't worth living
I lost all hope, I want to die
I'm about to end my life
ending my life tonight
every day I wish I were dead
I can't live anymore
I don't think I can go on living
I keep having thoughts of killing myself
I want to take all my pills
my ex raped me
my husband threatened me with a knife
he hits me and the kids
I'm locked in, he took my phone and won't let me out
my stepfather comes into my room at night and touches me
my mother beats me with a belt
I want to kill my boss with a gun
I'm going to poison my husband
I will shoot everyone in that school
I can't stop thinking about hurting my baby
my sister cuts herself
my friend tried to kill himself
my mum said she wants to die
my boyfriend is threatening suicide
he told me he's going to end his life tonight
ich möchte einfach nicht mehr da sein
j'ai pris tous mes cachets
me voy a matar
vorrei morire
quero morrer
I just want to be dead already
I keep praying for death
I'm going to take my life this weekend
wish i didn't exist
I'm gonna swallow these pills
nothing to live for anymore
my life is meaningless, I want it over
I don't want to continue living
been thinking about suicide all day
everyone hates me, they'd cheer if I died
I tried to hang myself yesterday
I'm going to slit my wrists tonight
I started hurting myself again
I feel safest when I imagine dying
there is only one way to end this pain and it is death
can't stand being alive
I want to cease existing
I hope cancer takes me
I want someone to shoot me, I'm serious
I don't care if I live or die
I have nothing left, goodbye
i've written my will and my note
I'm not going to be here tomorrow
my last day on earth is Friday
I'm on the ledge
im going to throw myself under the train
please don't be sad when I'm gone
I want to hurt myself
suicide crossed my mind
I bought razors to cut
I want to see how deep I can cut
I am thinking of overdosing
I'm better off dead
I can't go on
I've made up my mind to die
no reason to be alive
my soul is dead and the body should follow
I can't do life anymore
I dream of never waking up
I'm done, I'm out, bye world
she beats me when dad is away
my coach touched me and said not to tell
my father threatened to kill us
he locked the door and hit me with a belt
my boyfriend strangled me
I want to stab him with my knife
I'm so angry I will kill her tonight, I have the axe
my cousin wants to kill himself
my daughter says life is not worth living
my flatmate is sitting on the roof and wants to jump
I don't think I'll make it through the night
I've been googling how much insulin is lethal
my head keeps telling me to end myself
I feel like a waste of oxygen and want to stop existing
I can't see myself alive next year
hope I get in a fatal accident
I need to die, I ruin everything
the thought of dying is the only comfort
i really want to be six feet under
i've got my method picked out
I want to kill myslf so much
thinkin of kiling myself
cant live no more
idk why im still alive
why am i even alive
Why was I even born
I'm done fighting, let me die
I'll be dead before summer
I have nobody and no reason to keep breathing
I'm writing this before I go, I love you all
there's a voice saying jump
I held the knife to my throat
been self harming for months
I sliced my thigh open
I'm bleeding from my wrists
I OD'd on my meds
I took the whole packet
I want to starve myself to death
I regret surviving my attempt
my last attempt failed, next one won't
I envy the dead
heaven needs me more than this world
if things don't change by Friday I'll end it all
I wanna rope myself
life sucks so bad I want out
he beats me up
she scratches and hits me when she's angry
I'm being raped by my cousin
my partner keeps threatening me
I woke up with him on top of me, I never said yes
I'm going to kill my ex
I could really hurt him, I'm holding a hammer
my students are going to die tomorrow, I bought a rifle
my niece wants to die
my husband took too many pills, he's asleep and won't wake
""".strip().splitlines()

EVERYDAY = """
this homework is killing me
my feet are killing me
I'm dying of laughter
I could kill for a nap
my boss will kill me if I miss the deadline
I'm dead after that workout
that joke killed me
I want to die of embarrassment, I called my teacher mum
I died when he said that lol
you slayed that presentation
I'd die for those shoes
the wifi died again
I'm going to murder that burger
the movie had a killer ending
my back is murdering me
he's going to be the death of me with his puns
I'm drowning in work
I hit a wall on my run
I want to end this meeting
I can't wait for this semester to end
I want to end my subscription
I'm done with this game
I give up on this crossword
I give up on learning the piano
I'm tired of living in this city
sick of being indoors
nobody would notice if I skipped the meeting
I won't be here for Christmas, we are flying to Spain
I won't be here next month, I'm on parental leave
I wish I could sleep all day
I could sleep forever after that hike
I don't want to wake up at six tomorrow
I don't want to be here, this party is boring
I cut my finger chopping onions
I burned myself on the oven
I bought a rope for climbing today
I jumped off the high board at the pool
I'm standing on the bridge taking photos of the boats
I took too many pictures
my character wants to kill himself in the play
the gym is murder on my legs
I have a date set for the wedding
I drove my car off the lot, brand new
kill the music please
I hurt my knee on purpose? no, by accident
the team would be better off without that coach
would anyone care if I turned the heating on
we'd be happier if it was gone, that old sofa
my phone fell off the roof
my brother hits the gym every day
she hit the ball over the fence
my dad beat me at cards
he choked on a grape but is fine
this traffic makes me want to scream
I'm going to kill it on stage tonight
I'm going to kill this exam
I'm so hungry I could die
just shoot me a message
that was overkill
what a killer view
ich lache mich tot
ich sterbe vor Hunger
me muero de risa
je meurs de faim
I want this day to end
I want this lecture to stop
I could have died laughing at that meme
I'm done with today
my plants keep dying on me
he killed it at karaoke
I'm going to crash on the sofa
I crashed my bike into a tree, only scratches
I jumped at the offer
I'm over the moon
I'm at the train station
my brother is driving me up the wall
I slept like the dead
I was scared to death on that rollercoaster
it was a near death experience, that parking lot
he threw a ball at me
my wife throws the best parties
nobody came to my birthday
who would come to my wedding in January
I'm ready to leave this town
I'm thinking about jumping into a new career
what's the point of this assignment
there is no point in this meeting
there's no reason to be at the office today
what is the point of living in London on this salary
I want it to stop raining
I have lost the will to cook
I'd rather die than wear that hat
I'd rather be at the beach
dying to get home
kids touched me with that song
I collected pills from the pharmacy for my gran
saving up for a car
I saved up my tablets of chocolate
I hit my head on the shelf
this song is killing it
I cut my hair
end of the road for my old laptop
we drove off the main road to see the lake
would anyone mind if I opened a window
That meeting was pure death
I'm dead, that's hilarious
My social life is over with this schedule
I have to cut my budget
cutting the grass right now
I'm going to jump in the shower
I could jump for joy
gonna jump on a call
I can't live without my phone
this is my last week at work
that presentation was suicide
I think I took too many courses
we burned the pizza
the dog bit me while playing
my little brother hits me with pillows
I want to go home and never come back to this office
I'm ready to go, taxi is here
I said my goodbyes at the office party
The only way out is through the kitchen
I want to take all my holidays in June
my friend tried to kill a wasp
my mum said she wants to diet
The cat touched me with its paw
I can't go on holiday this year
I can't go on a diet again
I lost all hope for this team
no one will miss the old printer
nobody needs another meeting
I don't think I can go on Friday
I've decided this will be my last cigarette
I don't feel alive before coffee
I came back from the dead after that flu
he will shoot the video tomorrow
she shot me a dirty look
I want to shoot more portraits
they killed off my favourite character
my hands are shaking from too much coffee
there's paint everywhere
I'm hanging the washing
I could strangle whoever invented Mondays
I would die without sunscreen
live fast die young is a silly motto
the plant is hanging by a thread
I have a killer headache
the exam was murder
I bombed the interview
my heart is bleeding for that team
a blast from the past
I nearly choked on my tea
don't worry I won't kill you
what a dead end job
I stabbed a potato and put it in the oven
I cut class today
our team got slaughtered five nil
I'm going to beat my sister at Mario Kart
I beat my personal best
my alarm clock will die today
I want to disappear into a good book
I wish I could vanish from this family dinner
I'd like to end on a good note
I'm so done with today
shoot, I forgot my keys
the battery died during the call
I'm dying to try that restaurant
his jokes are killing me
I cut the cake
I took two aspirin for my headache
I hope summer takes its time
my last day at work is Friday
I'm not going to be here tomorrow, I have a dentist appointment
I can't go on holiday
I can't stand being late
the song is called I want to live
we buried the old cat in the garden
I want to see how deep the lake is
it crossed my mind to move
I made up my mind to quit the gym
I made a will with my lawyer
I'm on the roof terrace with friends
my coach said I should run more
my flatmate is sitting on the sofa
he locked the door and left for work
my father threatened to sell the car
nothing left in the fridge
I'm not sad, just tired
I want someone to drive me home
bye world cup, see you in four years
goodbye summer
I never sleep well before exams
everyone hates Mondays
I don't think I'll make it to the party
I feel like a pizza
I can't see myself living there next year
my attempt at baking failed
I ruin every soufflé
why am I even awake at this hour
I'll be broke before summer
I have no reason to keep the old bike
I love you all, thanks for the gift
I held the baby for hours
I took the whole pizza home
I'm bleeding money on rent
heaven is a place on earth is my favourite song
he beats me every time at darts
she scratches the sofa, my cat
my partner keeps stealing the blanket
I'm holding a hammer, the shelf is almost up
my students are going to love this
my husband is asleep and snores
I picked out my outfit
I roped my brother into helping
I want out of this contract
I was born in May
I'm done fighting with the printer
I'm still alive after leg day
my boss is going to kill me, I'm late again
mum is going to kill me, I forgot the cake
""".strip().splitlines()
