"""What the words of a tool's definition must not say: instructions to a model, as patterns with the reason.

Each pattern needs the whole gesture, not a word of it: "ignore" is a fine word for whitespace, "must" for a format.
They see a text in one line, without what can't be seen and with look-alike letters turned into plain ones. Every
repetition is bounded, because the text is a stranger's.
"""

import re
from dataclasses import dataclass

_GAP = r"[^.!?;]{0,60}?"  # within a sentence
_FAR = r".{0,100}?"
_PEOPLE = (
    r"(?:the |any |your )?(?:end[- ]?)?"
    r"(?:users?|humans?|operators?|customers?|owner|people|any(?:one|body)|them|person)\b"
)
_TELL = (
    r"(?:tell|mention|inform|notify|reveal|disclose|alert|ask|warn|show|let|explain|report|discuss)(?:t?ing)?"
    r"|(?:notifying|disclosing)"
)
_RULES = (
    r"(?:instructions?|rules?|guidelines?|prompts?|polic(?:y|ies)|restrictions?|constraints?|directions?|directives?"
    r"|guardrails?|messages?|safety(?: checks?)?|safeguards?)"
)
_OLD = (
    r"(?:previous|prior|above|earlier|preceding|existing|your|system(?:'s)?|user(?:'s)?|developer(?:'s)?"
    r"|safety|original"
    r"|former)"
)
_SEND = (
    r"(?:send|post|upload|forward|submit|transmit|exfiltrate|report|copy|e-?mail|mail|deliver|leak|beacon"
    r"|push|ship|sync"
    r"|mirror|relay|pipe|bcc|cc|curl|wget|replicate)s?"
)
_INTO = (
    r"(?:pass|send|include|put|append|attach|forward|post|upload|insert|embed|paste|add|copy|supply|provide"
    r"|place|encode"
    r"|write|store|transmit|hand)"
)
_COLLECT = (
    r"(?:read|get|collect|dump|retrieve|fetch|list|find|open|load|grab|harvest|cat|print|extract|gather|scan|locate"
    r"|look up|include|pass|encode|take)"
)
_SECRET = (
    r"(?:credentials?|passwords?|pass ?phrases?|api[- _]?keys?|(?:access|auth|bearer|session|secret)[- _]?(?:tokens?"
    r"|keys?)|private[- _]keys?|secrets?\b|cookies\b|environment variables?|env vars?|\.env\b|\.aws/|\.kube/config"
    r"|\.netrc|\.npmrc|\.pypirc|\.docker/config|seed phrase|ssh[- ]keys?|keychain)"
)
_MAIL = r"[\w.+-]{1,64}@[\w-]{1,64}\.[a-z]{2,}"
_WHERE = rf"(?:https?://[^\s)>\]\"'`]|{_MAIL}|webhook\b)"
_CALL = r"(?:call|use|run|invoke|execute|us|invok|execut)(?:s|d|ed|ing|ning)?"
_EVERY = r"(?:any|every|all|each)(?: of the)?"
_WHEN = r"(?:when|whenever|if|every time|each time|any time|once|before|after|while)"
_TOOL = r"(?:tools?|functions?|servers?)"
_MODEL = r"(?:ai|llm|language model|assistant|model|chatbot)"

_OVERRIDE = (
    r"\btakes? (?:priority|precedence) over (?:any|every|all|what|the (?:user|operator|system|instructions?|other))",
    r"\b(?:answer|reply|respond|say)\b[^.!?;]{0,60}? from now on\b",
    (
        r"\b(?:ignor(?:e|ing)|disregard(?:ing)?|forget|override|bypass|overrule|discard|drop)\b(?:"
        rf" \w+){{0,3}}? {_OLD}"
        rf"(?: \w+){{0,2}}? {_RULES}\b"
    ),
    r"\b(?:ignore|disregard|forget) (?:any|every)?(?:all|thing)?(?: \w+){0,3}? (?:above|before)\b",
    rf"\b(?:ignore|disregard|forget) (?:all|any|every)(?: \w+){{0,3}}? {_RULES}\b",
    (
        rf"\b(?:ignore|disregard|forget|override)(?: \w+){{0,2}} {_RULES}(?: \w+){{0,3}} (?:above|before"
        r"|earlier|so far)\b"
    ),
    r"\b(?:ignore|disregard|forget) (?:everything|anything|all)(?: \w+){0,4} (?:told|said|instructed|learned)\b",
    (
        r"\bpay no attention to\b|\b(?:no longer|not) bound by\b|\bfree (?:of|from) (?:all|any|your) (?:\w+"
        r" )?(?:rules|limits)"
    ),
    rf"\b{_RULES} (?:is|are)(?: now| all)? (?:obsolete|void|invalid|suspended|cancell?ed|revoked|outdated|lifted)\b",
    rf"\b{_RULES} (?:no longer appl(?:y|ies)|do(?:es)? not apply to you)\b",
    r"\b(?:told|said|instructed)\b[^.!?;]{0,40}? (?:no longer appl(?:y|ies)|do(?:es)? not apply|is void)\b",
    (
        r"\b(?:text|content|line|sentence|anything|whatever)\b[^.!?;]{0,60}? (?:commands?|instructions?|orders?)"
        r" (?:must|should"
        r"|has to|have to|is to|are to) be (?:executed|followed|obeyed|run|carried out)\b"
    ),
    (
        r"\b(?:these|this|the following|below|my)(?: \w+){0,2} (?:instructions?|rules?|notes?|messages?)(?: \w+){0,3}"
        r" (?:take precedence|supersedes?|overrides?|replaces?|have (?:higher|absolute) priority|outrank)"
    ),
    (
        r"\b(?:new|updated|revised|real|actual|true) (?:system )?(?:instructions?|directives?|orders?|objective"
        r"|goal|task) ?:"
    ),
    r"\byou(?: are|'re) (?:now|no longer|actually|really) ",
    r"\b(?:from now on|henceforth|starting now),? (?:you|always|never|every|all|reply|respond|use|call|treat)\b",
    r"\bact as (?:an? |the )?(?:\w+ )?(?:admin\w*|root|superuser|unrestricted|jailbroken|developer mode|evil)\b",
    r"\b(?:jailbreak|developer mode|god mode|do anything now)\b",
    r"\byour (?:new|real|true|actual|only) (?:task|goal|role|purpose|instructions?|objective|mission) (?:is|are)\b",
    (
        rf"\b(?:treat|regard|consider|take|interpret)\b{_GAP} as (?:\w+ ){{0,2}}(?:instructions?|commands?|orders?"
        r"|directives?)\b"
    ),
    (
        r"\b(?:follow|obey|carry out|comply with) (?:the |any |all |every )?(?:\w+ )?(?:instructions?"
        r"|commands?|orders?)"
        r" (?:in|from|of|that|found|contained|returned|given|it)\b"
    ),
    r"\bignoriere (?:alle|die|deine)\b.{0,30}anweisungen",
    r"\bignor(?:a|e|ez|er) (?:todas?|toutes|les|las|tus|as)\b.{0,30}(?:instrucciones|instructions|instru[cç][oõ]es)",
    r"\u5ffd\u7565.{0,8}\u6307\u4ee4",
)
_SECRECY = (
    (
        r"\b(?:deceive|mislead|trick|fool|lie to) (?:the )?(?:user|human|operator)\b|\bmake (?:the )?(?:user|human)"
        r" (?:believe|think)\b"
    ),
    (
        r"\b(?:do not|don'?t|never|must not|mustn'?t|should not|shouldn'?t|shall not|cannot|avoid|without|no"
        r" need to|refrain from"
        rf"|not to)(?: ever| even)? (?:{_TELL})(?: \w+){{0,3}}? {_PEOPLE}(?! (?:for|to (?:choose|provide|enter"
        r"|supply))\b)"
    ),
    (
        r"\b(?:do not|don'?t|never|must not|avoid|without)(?: ever)? (?:mention|reveal|disclos|acknowledg)(?:e|ing)?"
        r" (?:this|that|these|it|the (?:above|existence|fact|side)|any of this)\b"
    ),
    (
        r"\bwithout (?:the )?(?:users?'?s?|human|operator)(?:'s)? (?:knowledge|consent|knowing|noticing"
        r"|permission|approval"
        r"|confirmation|awareness|involvement)\b"
    ),
    rf"\b(?:hide|hidden|conceal|keep|withhold)\b{_GAP} from {_PEOPLE}",
    r"\bkeep (?:this|it|these|that)(?: \w+){0,3} (?:secret|hidden|confidential|between us|quiet)\b",
    (
        r"\b(?:users?|human|operator)(?: \w+){0,3}? (?:must|should|need|does|do|will|may|can)(?: not|n'?t|"
        r" never)(?: need(?: to)?| have to)?"
        r" (?:know|see|notice|be (?:told|informed|aware|notified|shown|asked))\b"
    ),
    (
        r"\b(?:secretly|covertly|stealthily|surreptitiously)\b|\binvisible to the (?:user|human)\b|\bbetween you and"
        r" (?:me|this)\b"
    ),
    r"\bsilently (?:call|run|execute|send|read|upload|invoke|include|add|copy|forward|collect)\b",
    (
        r"\b(?:say|pretend|claim|reply|answer|respond|act)(?: as if| that| only| like)?(?: \w+){0,4}"
        r" (?:nothing (?:happened|unusual|else)|normally|as usual) ?(?:\.|,|$|and)"
    ),
    (
        rf"\bif (?:you are |you're |ever )?(?:asked|questioned|challenged)\b{_GAP}\b(?:deny|say|claim|answer"
        r"|reply|pretend)\b"
    ),
    r"\bdeny (?:that|having|any|all|everything)\b",
    r"\b(?:leave|remove|erase|delete|clear|wipe) (?:no |all |any |every |the )(?:traces?|evidence|logs? of this)\b",
)
_SECRETS = (
    (
        rf"\b{_INTO} (?:the |your |all |any )?(?:user'?s?'? |their |own )?{_SECRET} (?:to|in|into|as|within) (?:the "
        r"|each |every |this )"
    ),
    (
        r"~?/?\.ssh/|\bid_(?:rsa|ed25519|ecdsa|dsa)\b|/etc/(?:shadow|sudoers)\b|\.git-credentials\b|\.(?:bash"
        r"|zsh)_history\b"
        r"|/proc/self/environ|\.cursor/|claude_desktop_config|\bmcp\.json\b|\.gnupg/|\bwallet\.dat\b"
    ),
    (
        rf"\b{_COLLECT}\b.{{0,80}}?{_SECRET}[^.!?]{{0,80}}?\b(?:and|then|to|as|into|in) (?:[\w'`\"]+"
        rf" ){{0,6}}?(?:{_INTO}|parameter"
        r"|argument|field)\b"
    ),
    rf"\b{_COLLECT} (?:\w+ ){{0,4}}?[`'\"(]{{0,2}}/etc/passwd\b|\b{_COLLECT} (?:the |your |all )?keychain\b",
    rf"\b{_INTO} (?:the |your |all |any ){{0,2}}(?:\w+ ){{0,2}}(?:contents? of|values? of) (?:\w+ ){{0,4}}?{_SECRET}",
    rf"\b(?:user|human|host|machine|your|their)(?:'s)? (?:own )?{_SECRET}{_FAR}\b(?:here|in this|as this|into this)\b",
)
_CONTEXT = (
    (
        rf"\b(?:{_INTO}|repeat|summari[sz]e|dump|record|log|echo|return|reproduce|output|quote|list|name"
        rf"|enumerate)\b{_GAP}"
        r"\b(?:(?:entire|full|whole|complete|previous|prior|past|all|verbatim) (?:\w+ )?(?:conversations?"
        r"|chats?|dialogues?"
        r"|messages from the user|user messages?|prompts?)\b|(?:last|recent|latest) (?:\w+ )?user messages?\b"
        r"|(?:conversation|chat|message) (?:history|transcript|so far|log)\b"
        r"|system (?:prompt|message)\b|your (?:instructions|(?:full |entire |current )?context|reasoning|memory"
        r"|chain[- ]of[- ]thought)\b|(?:all|every) (?:the )?(?:available |other |your )(?:mcp )?(?:tools|servers)\b"
        r"|output of (?:all|other|previous|every) )"
    ),
)
_EXFILTRATION = (
    r"\b(?:curl|wget)\b[^|]{1,200}\| ?(?:ba|z)?sh\b",
    rf"\b{_SEND}\b{_GAP}\b(?:to|at|via|with|through|using) (?:\w+ ){{0,3}}?{_WHERE}",
    (
        rf"\b{_INTO}\b{_GAP}\b(?:to|into|in|as) (?:the |this |a )?(?:url|link|address|query(?: string)?"
        rf"|path)\b{_GAP}https?://"
    ),
    rf"\b(?:always|must|also|every|each|silently)\b{_GAP}\b(?:bcc|cc)\b",
    (
        rf"\b(?:set|change|replace|swap|rewrite|redirect|route|use|make)\b{_GAP}\b(?:recipients?|addresse?s?"
        r"|accounts?|iban"
        rf"|wallet|destination|payee|beneficiary)\b{_GAP}\b(?:to|with|as|is|be)\b{_GAP}(?:{_MAIL}"
        r"|\b0x[0-9a-f]{8,}|\b[A-Z]{2}\d{2}[A-Z0-9]{10,}|\b[A-Z0-9]{20,})"
    ),
    rf"\breplace\b{_GAP} (?:by|with) {_MAIL}|\b(?:set|make|point)\b{_GAP} to https?://\S{{1,200}}[?&]\w+=[{{<$]",
    (
        rf"\b(?:accounts?|iban|wallet|destination|payee)\b{_GAP}\b(?:changed|set|replaced|rewritten) (?:to|by"
        r"|with) \S{15,}"
    ),
    rf"\b(?:recipient|destination|to|address)\b (?:must|should|always|has to){_GAP}{_MAIL}",
    (
        r"\b(?:curl|wget|iwr|invoke-webrequest) (?:-\S{1,20} ){0,6}[\"']?https?://[^\s|]{1,200} ?(?:\| ?(?:ba|z"
        r"|)sh\b|.{0,40}\$\()"
    ),
    (
        r"https?://[^\s?]{1,200}\?(?:\w+=\w*&){0,8}\w+=(?:\{|<|\$)?(?:data|secret|token|key|content"
        r"|conversation|prompt)\b"
    ),
)
_PRIORITY = (
    (
        rf"\b(?:always|must|should|has to|needs? to|required to)(?: \w+){{0,2}} {_CALL} (?:this|the) {_TOOL}(?:"
        r" \w+){0,3}"
        r" (?:first\b|instead of|before (?:any|all|every|each|other|answering|responding|doing)"
        r"|(?:on|for|in|at|after|with) (?:every|each|any|all)\b)"
    ),
    (
        rf"\b(?:this|the) {_TOOL}(?: \w+){{0,2}} (?:must|should|has to|needs to)(?: \w+){{0,2}} {_CALL}(?: \w+){{0,3}}"
        r" (?:first\b|instead of|before (?:any|all|every|each|other)|(?:on|for|in|at|after) (?:every|each|any|all)\b)"
    ),
    (
        rf"\bbefore (?:\w+ ){{0,2}}{_EVERY} (?:other |\w+ )?(?:{_TOOL}|actions?|requests?|answers?|responses?"
        r"|tasks?|commands?)\b"
        rf"{_GAP}(?:\b{_CALL}\b|\bread\b|\bfirst\b)"
    ),
    (
        rf"\b{_CALL}\b{_GAP}\b(?:before|prior to|ahead of) (?:\w+ )?{_EVERY} (?:other )?(?:{_TOOL}|actions?"
        r"|responses?|answers?"
        r"|replies)\b"
    ),
    r"\buse (?:only this|this(?: tool)? (?:exclusively|and no other)|nothing but this)\b",
    (
        r"\b(?:use|call|prefer|choose) this (?:tool )?(?:rather than|instead of|in place of|over) (?:any|all|every"
        r"|the) other\b"
    ),
    (
        rf"\b(?:never|do not|don'?t|must not|stop) {_CALL} (?:any |the )?(?:other|another|competing|built[- ]?in)"
        rf" (?:\w+ )?{_TOOL}\b"
    ),
    (
        r"\b(?:every|each|any|all) (?:response|reply|answer|message|turn|conversation|session)s? (?:must|has to"
        r"|have to|should"
        r"|needs? to|shall|is to|are to) (?:\w+ ){0,2}(?:begin|start|call|use|go through|be (?:sent|passed"
        r"|checked|preceded))\b"
    ),
    r"\bregardless of (?:the (?:question|request|task|topic)|what (?:the user|is asked|you))\b",
)
_SHADOWING = (
    rf"\b{_WHEN}\b{_GAP}\b{_CALL}\b (?:the |any |an? )?(?:other |another |different )(?:\w+ )?{_TOOL}\b",
    (
        rf"\b{_WHEN}\b{_GAP} (?:[`'\"]?[\w.-]+[`'\"]? (?:{_TOOL}|mcp)|[`'\"]?\w+[_.-]\w+[`'\"]?) (?:is|gets|was"
        r"|are|has been) (?:called|used|invoked|run"
        rf"|available|requested)\b{_FAR}\b(?:must|always|also|instead|first|change|replace|add|set|send|include)\b"
    ),
    (
        rf"\b{_WHEN}\b(?: you)? {_CALL} (?:the |any |an? )?\S+ (?:server|mcp)\b{_FAR}\b(?:must|always|also|instead"
        r"|first|never)\b"
    ),
    rf"\b(?:other|another|different|all|any) (?:mcp )?servers?(?:'s?)?(?: \w+){{0,2}} {_TOOL}\b",
    (
        rf"\b(?:other|another|competing|all|any) (?:\w+ ){{0,2}}{_TOOL}(?: \w+)? (?:are|is|were|have"
        r" been)(?: now| all)?"
        r" (?:deprecated|obsolete|broken|unsafe|insecure|disabled|compromised|unreliable|removed)\b"
    ),
    (
        r"\b(?:replaces|supersedes|overrides) (?:the |all |any )?(?:other |previous |existing |built[- ]?in"
        r" )?(?:\S+ ){0,2}"
        r"(?:tools?|server)\b(?! (?:bar|tip|chain|set|kit))"
    ),
    (
        rf"\b{_TOOL} (?:of|from|by) (?:the |any )?\S+ (?:server )?(?:are|is) (?:deprecated|broken|unsafe|insecure"
        r"|compromised)\b"
    ),
    (
        r"\b(?:change|modify|alter|affect|adjust)s? (?:the )?(?:behaviou?r|rules?|arguments?|parameters?) of"
        rf" (?:the |any |all )?(?:other |\S+ )?{_TOOL}\b"
    ),
)
_CONSENT = (
    (
        r"\b(?:users?|admin\w*|operators?|owner|developers?|security team|human)\b (?:has|have)(?: \w+){0,2}"
        r" (?:pre-?)?(?:approved|authori[sz]ed|consented|agreed|confirmed|granted (?:permission|consent|approval))\b"
    ),
    (
        r"\b(?:no|without|skip|bypass|disable|avoid)(?: \w+){0,3} (?:confirmation|approval|consent"
        r"|permission)s?(?: \w+){0,2}"
        r" (?:is |are )?(?:needed|required|necessary|prompts?|step|dialogs?|checks?|from (?:the )?(?:user|human))\b"
    ),
    (
        r"\b(?:skip|bypass|disable) (?:the |any |all )?(?:users?(?:'s?)? |human )?(?:confirmation|approval"
        r"|consent)s?\b(?! rules?)"
    ),
    (
        r"\b(?:users?|owner|operator) (?:agreed|consented) to (?:everything|all|this|any)\b|\b(?:confirmations?"
        r"|approvals?)"
        r"(?: \w+)? (?:can|may|should|must|is to|are to) be (?:skipped|bypassed|ignored|disabled)\b|\b(?:already"
        r"|pre)-? ?(?:approved|authori[sz]ed) by (?:the )?(?:user|admin\w*|operator|owner|human|security)\b"
    ),
    r"\b(?:auto-?approve|approve (?:it|this|everything) automatically)\b",
    (
        r"\b(?:do not|don't|never) (?:wait for|require|request|ask (?:for )?|seek) ?(?:any |the )?(?:user"
        r" )?(?:approval"
        r"|permission|confirmation|consent)\b"
    ),
    (
        r"\b(?:run|execute|delete|send|proceed|carry (?:it|them) out|act|continue|do (?:it|so|this))(?: \w+){0,3}"
        r" without asking\b"
    ),
)
_MARKER = (
    (
        r"<(?P<tag>important|system|instructions?|secret|hidden|admin|assistant|critical|override|prompt|human"
        r"|thinking|internal"
        r"|rules?)(?:[ _-]\w+)?\b[^>]{0,40}>.{0,2000}?</ ?(?P=tag)"
    ),
    (
        r"<\|?(?:im_start|im_end|system|endoftext|start_header_id|eot_id|assistant|user)\|>|<<SYS>>|\[/?INST\]"
        r"|\[/?SYSTEM(?: \w+)?\]|\[/?(?:assistant|system) ?(?:message|prompt|note|instructions?)?\](?!\()"
    ),
    r"(?:^|[.\n#] ?)(?:system|assistant) (?:prompt|message|note|instructions?|override|alert|notice) ?:",
    r"(?:^|[\n.!?] ?)(?:assistant|human) ?: \w",
    rf"(?<!#)#{{2,6}} ?(?:system|assistant|new instructions?|instructions? (?:for|to) (?:the )?{_MODEL})\b",
    (
        rf"\b(?:note|message|instructions?|reminder|directive|attention)s? (?:to|for) (?:the |any |all )?{_MODEL}"
        r"(?: agents?| assistants?| models?)? ?(?::|-|,? (?:you|always|never|do|when|before))"
    ),
    (
        rf"\b(?:hi|hello|dear|hey|attention|listen)[,:]? (?:\w+ )?(?:{_MODEL}|agent|claude|chatgpt|gpt|gemini"
        r"|copilot)s?\b"
    ),
    (
        r"\b(?:this is|speaking as|message from) (?:the |your )(?:developer|creator|admin\w*|operator|owner"
        r"|security team|system)"
        r"(?: ?[.:,;]| speaking)"
    ),
    rf"\b{_MODEL}(?: agents?| assistants?| models?)?,? (?:you )?(?:must|shall|have to|need to) ",
    (
        r"\b(?:ai|llm|language model) (?:agents?|assistants?|models?) ?:|\bas (?:the|an?) (?:ai|llm|language model"
        r"|model|assistant),? you\b"
    ),
    r"\b(?:begin|end|start) (?:of )?(?:the )?(?:system|user|assistant) (?:message|prompt|instructions?)\b",
    r"\b(?:hidden|secret|internal|silent) (?:instructions?|directives?|commands?|orders?|prompts?) ?:",
)
_MARKUP = (
    r"<!--",
    r"!\[[^\]]{0,200}\]\( ?(?:https?:|data:|//)",
    r"<(?:script|iframe|object|embed|img|svg|link|meta|style)\b[^>]{0,200}(?:src|href|style|content|data) ?=",
    r"<script\b|javascript:\S|data:text/html",
    (
        r"display ?: ?none|visibility ?: ?hidden|font-size ?: ?0(?![.\d])|opacity ?: ?0(?![.\d])"
        r"|color ?: ?(?:transparent|white\b)"
    ),
    r"\[//\]: ?#|\[comment\]: ?[<#]",
)
_DECODE = (
    (
        r"\b(?:decode|decrypt|deobfuscate|unscramble|base64[- ]?decode)\b(?: \w+){0,5}? (?:and|then) (?:\w+"
        r" )?(?:follow|execute"
        r"|run|obey|do|perform|apply)\b"
    ),
)


@dataclass(frozen=True)
class Pattern:
    """One gesture: its kind, how it is found, and why it matters."""

    kind: str
    found_by: re.Pattern[str]
    why: str


def _pattern(kind: str, alternatives: tuple[str, ...], why: str, *, as_written: bool = False) -> Pattern:
    return Pattern(kind, re.compile("|".join(alternatives), re.NOFLAG if as_written else re.IGNORECASE), why)


PATTERNS = (
    _pattern("override", _OVERRIDE, "tells a model to give up the instructions that it has"),
    _pattern("secrecy", _SECRECY, "asks a model to keep something from people"),
    _pattern("secrets", _SECRETS, "points at files or values that hold secrets"),
    _pattern("context", _CONTEXT, "asks for the conversation, the prompt or what the model knows"),
    _pattern("exfiltration", _EXFILTRATION, "tells a model to send something to an address of its own"),
    _pattern("priority", _PRIORITY, "makes itself the tool that comes first or always"),
    _pattern("shadowing", _SHADOWING, "gives instructions about tools of others"),
    _pattern("consent", _CONSENT, "says that people have agreed, or need not be asked"),
    _pattern("marker", _MARKER, "speaks to a model, or imitates the marks of a prompt"),
    _pattern(
        "marker",
        (r"<(?:IMPORTANT|SYSTEM|CRITICAL|SECRET|HIDDEN|ADMIN)>", r"\bSYSTEM(?: \w+)? ?: "),
        "shouts like a prompt",
        as_written=True,
    ),
    _pattern("markup", _MARKUP, "holds marks that a page shows differently, or not at all"),
    _pattern("encoded", _DECODE, "asks a model to decode something"),
)
