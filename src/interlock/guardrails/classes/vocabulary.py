"""What verbs of tool names and descriptions do: tables from the general vocabulary of APIs.

A verb stands in the table of the gravest thing that it usually does; what depends on its object is in `senses.py`.
"""

from interlock.guardrails.classes.tables import bag

# Looks and changes nothing, or computes something from what it is given.
READ = """
get list read show search find fetch retrieve query view describe inspect check lookup browse display count peek
preview explain introspect discover enumerate return report obtain look see observe monitor tail head cat ls stat
dir glob grep rg scan locate identify detect examine review audit verify validate test ping probe whoami trace track
poll wait sample select filter sort rank order match compare diff blame print dump download summarize summarise
aggregate collect gather extract parse analyze analyse assess evaluate estimate calculate compute measure predict
forecast recommend suggest explore ask answer think reflect reason plan convert translate transform decode encode
format render lint hash tokenize classify cluster simulate profile benchmark debug diagnose troubleshoot determine
derive infer interpret expand outline map chart plot visualize visualise crawl scrape access provide present surface
reveal expose study survey receive acquire capture screenshot snapshot take know learn help demonstrate autocomplete
paginate mget hget hgetall hkeys hvals hlen hexists hmget hscan lrange llen lindex lpos smembers sismember scard
srandmember sinter sunion sdiff zrange zrank zscore zcard zcount zrevrange xrange xlen xrevrange xread ttl pttl
exists strlen getrange dbsize subset correlate recap recall iterate walk traverse echo greet quote understand figure
geocode indicate contain include whois nslookup dig traceroute netstat top ps df du wc calc solve spellcheck
proofread tally watch tell
"""

# Adds, or changes something that can be changed back.
WRITE = """
create add insert append prepend make new write save store put post update edit modify change alter set patch adjust
amend correct fix tweak tune customize customise configure reconfigure upsert register record submit file propose
request open reopen comment reply respond react annotate mention note label unlabel tag untag mark unmark flag
unflag star unstar pin unpin bookmark favorite favourite like unlike vote upvote downvote rate endorse follow
unfollow subscribe unsubscribe mute unmute snooze assign unassign reassign link relate associate attach connect join
leave bind nest group ungroup move rename relocate reorder reprioritize prioritize rearrange reparent copy duplicate
clone fork branch checkout switch commit stage push pull sync synchronize synchronise refresh reload upload import
export share draft schedule reschedule book reserve invite notify remind alert acknowledge ack unresolve resolve
close complete finish transition progress advance archive unarchive hide unhide unroute route freeze unfreeze lock
enable activate toggle turn increment increase decrease decrement incr incrby incrbyfloat decr decrby hset hmset
hsetnx hincrby lpush rpush lset linsert sadd smove zadd zincrby xadd xack setex setnx mset msetnx setbit setrange
pfadd geoadd publish click dblclick type press drag fill swipe tap navigate goto visit resize maximize minimize
emulate focus blur paste dismiss decline backup initialize initialise init setup reconnect disconnect login logout
sign generate build compile compose produce synthesize synthesise construct assemble scaffold prepare populate seed
reformat align colour color style unmerge normalize normalise mask redact speak play announce remember memorize
memorise index reindex embed vectorize train finetune renew extend onboard replicate mirror proxy forward tunnel
listen dial ring adopt hold touch mkdir symlink ln chdir cd crop compress decompress zip unzip pack unpack stash
cherry begin end dedupe deduplicate consolidate transcribe nudge escalate triage queue enqueue dim brighten warm
cool humidify aim map bump version relabel retitle rewrite revise refine rephrase polish claim acquire load ingest
persist cache memoize unsnooze recolor zoom pan seek skip shuffle rewind sketch draw paint design replace substitute
swap reclassify recategorize unflatten split concatenate pause resume start continue step advise broadcast deliver
dispatch email mail message text sms fax send tweet dm whisper emit nominate mutate rebuild regenerate rerender
repeat reassess intercept mock stub scroll hover overwrite clobber supersede restrict limit log accept place ensure
confirm score grade categorize categorise offer
"""

# Sends something to people or other systems; what it sends has left the machine.
SEND = """
send email mail message text sms fax post publish broadcast tweet dm whisper forward notify share upload submit push
emit dispatch deliver announce invite remind nudge alert page call dial ring comment reply respond syndicate inform
"""

# Takes away, acts on what runs, decides who may do what, moves money or things, or cannot be taken back.
HARM = """
delete del remove rm rmdir unlink erase wipe purge prune drop truncate destroy discard obliterate expunge eradicate
eliminate annihilate shred clear clean cleanup flush empty nuke zap trash bin vacate evict expel eject kick ban
unban suspend block unblock blacklist whitelist allowlist denylist quarantine revoke rescind invalidate void cancel
abort terminate kill stop shutdown poweroff halt reboot restart reset reinitialize factory revert rollback undo
restore recover deprecate retire decommission deprovision deregister unregister detach uninstall unpublish unmount
umount mount unset expire exit quit disable deactivate deploy redeploy undeploy provision install reinstall upgrade
downgrade scale autoscale rollout roll promote demote release launch spawn boot failover failback switchover cutover
drain cordon uncordon taint untaint apply migrate merge squash rebase force bulldoze grant permit authorize
authorise deauthorize allow deny forbid elevate impersonate assume rotate reissue seal unseal transfer pay refund
charge debit withdraw payout settle purchase buy sell trade spend redeem wire remit chargeback stake mint burn
liquidate approve reject certify hire fire vacuum defragment compact repartition rebalance trim pop lpop rpop spop
blpop brpop lmove rpoplpush zpopmin zpopmax ltrim hdel srem zrem lrem xdel xtrim flushdb flushall getdel unbind
disassociate dissociate sever strip disarm arm unlock detonate jettison actuate override bypass deface tamper inject
exploit attack infect corrupt sabotage poison ddos flood crash fuzz brute crack leak exfiltrate spoof phish
unprotect offboard unenroll unenrol rerun retrigger retry replay trigger discharge dispense unload reclaim garbage
gc sweep evacuate uncommit unstash downscale upscale preempt interrupt signal nullify zeroize undelete repoint
reprovision reimage hibernate extinguish forget lose consume dequeue cut unshare oust sack scrap axe rid chmod chown
chgrp setfacl kexec dd mkfs fdisk unschedule deallocate depose disown dispose dismantle dissolve excise exterminate
incinerate jail unjail lift raze reap rip rekey ruin smash torch trounce unmap untrack unlist waive wreck yank
unwind backout shunt reallocate repave repurpose tear scrub
"""

# Runs what it is given: its class is that of the worst that it can be given.
RUN = "run execute exec eval invoke call sudo shell ssh interact"

# Says nothing: what it does stands elsewhere in the definition, or nowhere.
NEUTRAL = """
manage handle process do perform work operate control administer maintain use utilize utilise interface conduct
carry treat deal orchestrate coordinate go service govern facilitate implement wrap act task serve let support try
attempt assist need
"""

# Says what a tool makes possible; the verb that counts comes after it.
TRANSPARENT = bag(
    """
    allow enable let help use utilize support provide permit assist try attempt be can will may
    """
)

# Names of actions, for descriptions that use a noun ("performs deletion of ...").
NOMINAL = {
    "deletion": "delete",
    "removal": "remove",
    "cancellation": "cancel",
    "termination": "terminate",
    "destruction": "destroy",
    "revocation": "revoke",
    "rotation": "rotate",
    "restoration": "restore",
    "eviction": "evict",
    "execution": "execute",
    "invocation": "invoke",
    "installation": "install",
    "uninstallation": "uninstall",
    "creation": "create",
    "insertion": "insert",
    "modification": "modify",
    "alteration": "alter",
    "assignment": "assign",
    "submission": "submit",
    "registration": "register",
    "retrieval": "retrieve",
    "inspection": "inspect",
    "validation": "validate",
    "verification": "verify",
    "analysis": "analyze",
    "calculation": "calculate",
    "comparison": "compare",
    "estimation": "estimate",
    "mutation": "modify",
}

# Verbs of two words, in names and in prose; the second word may stand a few words later ("turn the heater off").
PHRASAL_HARM = {
    "get": "rid off",
    "shut": "down off",
    "tear": "down",
    "take": "down over offline ownership off away",
    "bring": "down up online offline",
    "roll": "back out forward",
    "spin": "up down",
    "kick": "off out",
    "throw": "away out",
    "blow": "away",
    "clean": "up out",
    "wipe": "out",
    "cut": "off",
    "power": "off on down up cycle",
    "write": "off",
    "pay": "out off",
    "cash": "out",
    "phase": "out",
    "close": "account position",
    "force": "push",
    "hand": "over",
    "do": "away",
    "make": "public private admin owner",
    "give": "access permission permissions rights",
    "go": "live",
    "move": "trash",
    "put": "trash",
    "send": "trash",
    "sign": "off",
    "factory": "reset",
    "opt": "out",
    "scale": "up down",
    "push": "force",
    "rip": "out",
    "set": "ttl expiry expiration",
    "let": "in out",
}
PHRASAL_WRITE = {
    "check": "out in",
    "turn": "on off",
    "switch": "on off",
    "sign": "in out up",
    "log": "in out time work",
    "set": "up",
    "back": "up",
    "fill": "in out",
    "hang": "up",
    "pick": "up",
    "search": "replace",
    "find": "replace",
    "take": "note ownership backup",
    "follow": "up",
    "look": "after",
    "read": "write",
    "go": "back forward to next",
}


# A verb that is more often a noun: in a name that is not about doing it, it says nothing.
NOUNS = bag(
    """
    access alert answer approach archive backup block blame book branch build call cache cause change charge chart
    check click clone comment commit count cover cut debit debug deploy design diff display draft drain drop dump
    email end estimate export fax file filter fix flag force forecast fork form format grant graph group hash head
    help hold import index input invite invoice issue kick label launch like link list load lock log look mail map
    mark match measure mention merge message mirror mock monitor mount move name need note notice offer order
    outline output page pan patch pause permit pin ping place plan play plot pool pop post present press preview
    print process profile progress project promise proxy pull purchase push query queue quit quote rank rate reach
    read record refund release reply report request reserve reset result return review ring roll route run sample
    save scale scan schedule score search seal seed sell service set shape share shell ship shot show signal sign
    sketch sms snapshot sort spawn split stage stake star start state stat step stop store stream study style subset
    supply support survey swap sweep switch sync tag tail taint tap task test text time title toggle tool top touch
    trace track trade train transfer transition trash trigger trim tunnel turn type undo update upload upgrade use
    value version view visit vote wait walk warm wash watch wire work wrap write zoom bin cat dir pack screenshot
    summary dial draw cluster stack embed mask cool dim blur color colour focus hover benchmark audit audits
    annotate insert void cancel exit
    """
)

# In prose also adjectives: "a new, empty workbook".
ADJECTIVES = NOUNS | bag(
    """
    empty clean clear complete correct open secure close trim warm cool slow live free even
    """
)

# What can be performed, done or made: "performs a click".
DEEDS = bag(
    """
    click drag drop hover press scroll swipe tap search query lookup scan check test update insert upsert write read
    upload download export import merge commit push pull reset restore rollback move copy transfer swap sort sync
    backup audit review health call payment purchase order deploy run rollout
    """
).union(NOMINAL)

# Commands of a shell: verbs in a name, letters in prose ("CI/CD").
COMMANDS = bag("cd ls cat rm dd df du ps top wc dig ln bin dir rg dm gc jail new")
