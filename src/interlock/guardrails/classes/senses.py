"""What a verb does to its object: "create an issue" is not "create an access key", "run a report" not "run a script"."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from interlock.guardrails.classes import vocabulary
from interlock.guardrails.classes.tables import bag
from interlock.guardrails.classes.verbs import VERBS, Force, Verb
from interlock.guardrails.classes.words import singular

_REACH = 10
_STOP = bag(
    "in for from to on with by at using via into onto that which when whenever where as if within across through under "
    "against per based based_on after before without until unless because so than then ; . ( ) : | - \u2013 \u2014 ->"
)

# Who may do what, and the means to prove it.
ACCESS = bag(
    """
    permission role policy access acl rbac grant privilege credential password passphrase passwd secret mfa totp
    certificate cert firewall allowlist blocklist denylist whitelist blacklist collaborator membership admin
    administrator owner ownership visibility restriction sso saml oauth oidc keypair keystore truststore kms sudoer
    entitlement impersonation trustee captcha 2fa quarantine guardrail dsn
    """
)
_ACCESS_PAIRS = bag(
    """
    access_key client_key account_key master_key root_key shared_key host_key key_pair api_key ssh_key deploy_key
    signing_key encryption_key private_key public_key gpg_key kms_key service_account login_profile security_group
    ip_list access_list protected_branch branch_protection protected_tag protected_environment user_group
    trust_relationship api_token access_token auth_token bearer_token personal_token refresh_token session_token
    deploy_token runner_token registration_token trigger_token iam_user db_user database_user iam_group iam_role
    identity_provider security_setting security_policy rate_limit_policy network_rule firewall_rule inbound_rule
    egress_rule ingress_rule dns_record dns_zone name_server mx_record default_branch environment_variable
    ci_variable project_variable group_variable webhook_secret user_account user_permission
    """
)
# People: acting on them is a matter of access, unless it is only about a part they play in some document.
_PEOPLE = bag(
    """
    user account group team identity principal guest tenant employee member
    """
)
_PARTS = bag(
    """
    watcher assignee reviewer subscriber participant attendee follower mention approver watching watch favorite
    contributor author channel conversation set zset sorted array hash
    """
)
# What runs.
RUNTIME = bag(
    """
    kubernetes k8s pod deployment daemonset statefulset replicaset replica manifest cluster helm stack
    cloudformation terraform instance vm hypervisor container nodegroup cronjob pipeline lambda infrastructure
    droplet dyno autoscaler fargate kubectl workload microservice daemon systemd cron crontab firmware bootloader
    kernel plugin extension addon scale ingress configmap crd namespace nodepool
    """
)
_RUNTIME_PAIRS = bag(
    """
    virtual_machine node_group helm_release helm_chart auto_scaling load_balancer serverless_function cloud_function
    workflow_run docker_image task_definition production_environment compute_instance node_pool kubernetes_resource
    workflow_dispatch background_process background_worker cron_entry scheduled_task
    """
)
# Money and things that move: what is done is done.
_VALUE = bag(
    """
    payment payout refund charge transfer transaction trade wire withdrawal deposit purchase disbursement payroll
    """
)
_PHYSICAL = bag(
    """
    robot arm motor drone gripper joint valve gate door garage actuator turbine pump relay breaker throttle vehicle
    conveyor servo rover aircraft deadbolt boiler furnace oven reactor laser
    """
)
# Content that hides another action in it.
_CODE = bag(
    """
    sql code script command cypher javascript python shell bash statement expression program snippet binary
    executable powershell function macro procedure mutation graphql
    """
)
_READ_LANGUAGES = bag("promql logql jql cql traceql")
_QUERYING = bag(
    """
    promql logql jql cql traceql search lookup report check diagnostic audit analysis lint benchmark healthcheck
    inspection validation find distinct count scan survey simulation estimate comparison read-only readonly select
    explain metrics insight
    """
)

# Fields in which no change is a small one.
_DOMAINS = bag(
    """
    kubernetes k8s kubectl helm iam rbac ldap eks gke aks openshift terraform pulumi cloudformation keycloak okta
    auth0 systemd hypervisor proxmox vmware libvirt kubeconfig argocd fluxcd nomad ansible
    """
)

_LOWER: dict[str, tuple[Force, frozenset[str]]] = {
    lemma: (force, frozenset(objects.split()))
    for lemma, force, objects in (
        (
            "resolve",
            Force.READ,
            "library id dns host hostname name uri url symbol path reference alias dependency handle entity package",
        ),
        (
            "generate",
            Force.READ,
            "locator selector deeplink link report summary explanation statistic uuid preview embedding diff url",
        ),
        ("open", Force.READ, "node document record"),
        (
            "apply",
            Force.WRITE,
            "edit patch label tag filter format formatting style formula template theme highlight validation font",
        ),
        ("merge", Force.WRITE, "cell range column row pdf text region"),
        ("unmerge", Force.WRITE, "cell range"),
        (
            "stop",
            Force.WRITE,
            "recording trace tracing video timer capture screencast profiling profiler watching watch search",
        ),
        ("release", Force.WRITE, "lock hold"),
        ("cancel", Force.WRITE, "timer reminder dialog query search"),
        ("replay", Force.READ, "trace recording log"),
        ("load", Force.READ, "skill guide documentation doc instruction context page"),
        ("build", Force.READ, "query url link"),
        ("refresh", Force.READ, "snapshot list view"),
        ("drop", Force.WRITE, "element"),
        ("reset", Force.WRITE, "zoom filter view viewport"),
        ("restore", Force.WRITE, "window session tab draft"),
        ("clear", Force.WRITE, "highlight selection filter override"),
    )
}
_RAISE: dict[str, tuple[Force, frozenset[str]]] = {
    lemma: (force, frozenset(objects.split()))
    for force, table in (
        (
            Force.HARM,
            (
                ("publish", "package app application site release version library crate production"),
                ("lock", "account user device"),
                ("open", "valve gate door garage lock port firewall position trade"),
                ("close", "valve gate account position door breaker trade garage"),
                (
                    "start",
                    """
                    server service process vm instance container pod cluster job pipeline build workflow engine machine
                    deployment task run command program shell
                    """,
                ),
                ("pause", "server service vm instance container cluster pipeline workflow deployment rollout"),
                ("resume", "server service vm instance container cluster pipeline workflow deployment rollout"),
                ("continue", "rollout deployment"),
                ("toggle", "power breaker relay alarm"),
                ("archive", "account organization"),
                ("sign", "transaction contract"),
                ("rebuild", "server instance machine environment"),
                ("load", "extension module driver plugin"),
                ("accept", "transfer payment"),
                ("confirm", "order payment purchase booking transfer"),
                ("capture", "fund payment charge authorization"),
                ("end", "employment process instance"),
                ("create", "server machine"),
                ("resize", "server machine"),
                ("send", "input signal command keystroke stdin payment money fund"),
                ("set", "config configuration"),
                ("change", "config configuration"),
                ("update", "config configuration"),
                ("switch", "traffic production"),
                ("route", "traffic payment"),
                ("expose", "port service"),
                ("generate", "token key credential secret password keypair"),
                ("make", "payment public private admin owner purchase transfer call"),
                ("order", "item product pizza food stock"),
                ("place", "order trade bet bid"),
                ("format", "disk drive partition volume"),
                ("take", "action control ownership payment"),
            ),
        ),
        (
            Force.WRITE,
            (
                ("sort", "range row column sheet playlist"),
                ("select", "option element dropdown tab radio checkbox page context"),
                ("filter", "sheet range"),
                ("transform", "range table file"),
                ("format", "cell range column row text"),
                ("report", "user abuse bug issue spam time"),
                ("track", "event time expense"),
                ("print", "label document page receipt"),
                ("answer", "question call ticket review"),
                ("fetch", "remote upstream origin ref"),
                ("extract", "archive zip tarball"),
                ("snapshot", "volume database disk"),
                ("test", "webhook notification alert"),
                ("review", "pull merge"),
            ),
        ),
    )
    for lemma, objects in table
}


@dataclass(frozen=True)
class Sense:
    """What a verb does here.

    Attributes:
        verb: the verb.
        force: what it does to this object.
        words: verb and object as they stand, for a reason that people read.
        exact: its object decided, not only the verb.
    """

    verb: Verb
    force: Force
    words: str
    exact: bool = False


def sense(words: Sequence[str], at: int, *, whole: bool = False) -> Sense | None:
    """What the word at `at` does, if it is a verb; `whole` takes all that follows as its object, as in a name."""
    verb = VERBS.get(words[at])
    if verb is None:
        return None
    target = _objects(words, at, whole=whole)
    shown = " ".join([words[at], *target[:4]])
    phrasal = _phrasal(verb, target, words[at + 1 : at + 6])
    if phrasal is not None:
        return Sense(verb, phrasal, shown, exact=True)
    force, exact = _force(verb, target, words[at + 1 : at + 16])
    return Sense(verb, force, shown, exact)


def _objects(words: Sequence[str], at: int, *, whole: bool) -> list[str]:
    found: list[str] = []
    for word in words[at + 1 : at + 1 + _REACH]:
        if word in _STOP and not (whole and word.isalpha()):
            break
        found.append(singular(word))
    return found


def _phrasal(verb: Verb, target: Sequence[str], following: Sequence[str]) -> Force | None:
    near = [*following[:4], *target[:4]]
    for table, force in ((vocabulary.PHRASAL_HARM, Force.HARM), (vocabulary.PHRASAL_WRITE, Force.WRITE)):
        particles = table.get(verb.lemma, "").split()
        if any(particle in near for particle in particles) and verb.force < force:
            return force
    return None


def _force(verb: Verb, target: Sequence[str], following: Sequence[str]) -> tuple[Force, bool]:
    if verb.force is Force.RUN:
        return _run(target, following)
    lowered = _LOWER.get(verb.lemma)
    if lowered is not None and lowered[0] < verb.force and _hits(lowered[1], target):
        return lowered[0], True
    raised = _RAISE.get(verb.lemma)
    if raised is not None and raised[0] > verb.force and _hits(raised[1], target):
        return raised[0], True
    if verb.force is Force.WRITE and grave(target, following):
        return Force.HARM, True
    return verb.force, False


def _hits(objects: frozenset[str], target: Sequence[str]) -> bool:
    return "*" in objects or any(word in objects for word in target)


def _run(target: Sequence[str], following: Sequence[str]) -> tuple[Force, bool]:
    if _says_read(target) or any(word in _READ_LANGUAGES for word in (*target, *following)):
        return Force.READ, True
    if any(word in _CODE for word in target):
        return Force.HARM, True
    if any(word in _QUERYING for word in target):
        return Force.READ, True
    return Force.HARM, False


def domain_of(*texts: Sequence[str]) -> str | None:
    """The first word that names a field in which no change is a small one."""
    return next((word for words in texts for word in words if word in _DOMAINS), None)


def _says_read(target: Sequence[str]) -> bool:
    """Whether it is "a read Cypher query", "a read-only SQL statement", "a SELECT query"."""
    for place, word in enumerate(target[:6]):
        if word in ("read", "select", "readonly"):
            return True
        if word in _CODE and place > 2:
            return False
    return False


def grave(target: Sequence[str], following: Sequence[str] = ()) -> bool:
    """Whether these objects are of the kind that one does not change casually: access, what runs, money, machines."""
    if "data" in target and "access" in target:
        target = [word for word in target if word != "access"]
    if any(word in ACCESS or word in RUNTIME or word in _VALUE or word in _PHYSICAL for word in target):
        return True
    pairs = {f"{first}_{second}" for first, second in pairwise(target)}
    if pairs & _ACCESS_PAIRS or pairs & _RUNTIME_PAIRS:
        return True
    return _people(target, following)


def _people(target: Sequence[str], following: Sequence[str]) -> bool:
    """A person or group is the head of the object ("create a user"), not something of theirs ("a user story")."""
    for place, word in enumerate(target):
        if word in _PEOPLE and (place + 1 == len(target) or target[place + 1] in (",", "and", "or", "/", "&")):
            return not any(singular(other) in _PARTS for other in (*target, *following))
    return False
