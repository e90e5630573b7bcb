"""Kubernetes' reasons, YARN's exit statuses, exit codes of JVMs and shells, signals."""

from __future__ import annotations

import re
import signal
from functools import lru_cache

from airflow_autoremed.failures.kinds.meaning import Meaning, Rows, by_code

KUBERNETES: Rows = (
    (
        "executor_oom_overhead",
        "the container went over its memory limit",
        "OOMKilled OOMKilling ContainerOOM SystemOOM",
    ),
    (
        "executor_lost_preempted",
        "the pod was taken away: by its node, by preemption or by an eviction",
        "Evicted Preempted Preempting Preemption PreemptionByScheduler PreemptionByKubeScheduler DeletionByTaintManager "
        "TaintManagerEviction DeletionByPodGC EvictionByEvictionAPI TerminationByKubelet NodeLost NodeNotReady NodeShutdown "
        "NodeShutDown Terminated Shutdown ContainerStatusUnknown Rebooted NodeUnreachable NodeNotSchedulable RemovingNode "
        "DeletingNode ScaleDown TerminatingEvictedPod Killing SpotInterruption NodeTerminatingOnSpot Drain",
    ),
    (
        "resource_unavailable",
        "the cluster had no room for the pod, or its node was not ready",
        "Unschedulable FailedScheduling OutOfcpu OutOfmemory OutOfpods OutOfCpu OutOfMemory OutOfPods OutOfephemeral-storage "
        "OutOfGpu UnexpectedAdmissionError NodeAffinity NodePorts NotTriggerScaleUp FailedCreatePodSandBox "
        "FailedPodSandBoxStatus NetworkNotReady KubeletNotReady KubeletSetupFailed NodeUnderPressure InsufficientFreeCPU "
        "InsufficientFreeMemory HostPortConflict SchedulerError SchedulingGated NodeAllocatableEnforced InsufficientCapacityError "
        "InvalidDiskCapacity InspectFailed",
    ),
    (
        "disk_full",
        "the node's disk was under pressure",
        "DiskPressure FreeDiskSpaceFailed NodeHasDiskPressure ImageGCFailed EvictionThresholdMet",
    ),
    (
        "network_timeout",
        "the registry, the API server or the network did not answer",
        "RegistryUnavailable ServerTimeout Timeout ServiceUnavailable InternalError TooManyRequests Expired "
        "StatusReasonTimeout DNSConfigForming NetworkUnavailable",
    ),
    (
        "submit_config_error",
        "the image, the container or the pod is declared wrongly",
        "ImagePullBackOff ErrImagePull ErrImageNeverPull InvalidImageName ImageInspectError CreateContainerConfigError "
        "CreateContainerError RunContainerError ContainerCannotRun StartError ContainerCannotStart PostStartHookError "
        "PreStartHookError PreCreateHookError FailedPostStartHook FailedPreStopHook FailedMount FailedAttachVolume FailedMapVolume VolumeResizeFailed Invalid "
        "BadRequest NotAcceptable UnsupportedMediaType MethodNotAllowed FailedValidation NodeSelectorMismatching InvalidSelector "
        "SysctlForbidden AppArmor UnsupportedMountOption ProvisioningFailed CannotRun ErrorCreatingPod",
    ),
    ("auth_permission", "the cluster refused the account or the right", "Forbidden Unauthorized"),
    ("license_or_quota", "a quota of the namespace is used up", "ExceededQuota QuotaExceeded FailedQuota"),
    ("missing_data", "the cluster has no such object", "NotFound Gone"),
    ("concurrency_conflict", "the object is there already, or was changed", "AlreadyExists Conflict"),
    ("timeout_killed", "the pod ran longer than it may", "DeadlineExceeded ActiveDeadlineExceeded"),
    (
        "nothing",
        "",
        "Error Completed BackOff CrashLoopBackOff BackoffLimitExceeded Unhealthy ProbeWarning FailedKillPod FailedSync Failed "
        "PodFailurePolicy FailedCreate FailedDelete ContainerCreating PodInitializing Created Started Pulled Pulling Scheduled "
        "Ready Unknown ContainersNotReady ContainersNotInitialized NodeReady SuccessfulCreate SandboxChanged ExceededGracePeriod",
    ),
)
YARN: Rows = (
    ("executor_lost_preempted", "YARN took the container away or lost its node", "-100 -102 -106 -108"),
    ("disk_full", "the disks of the node have failed or are full", "-101"),
    ("executor_oom_overhead", "the container went over its memory limit", "-103 -104"),
    ("submit_config_error", "the container wrote more logs than YARN allows", "-109"),
    ("nothing", "", "-1000 -105 -107 0"),
)
EXITS: Rows = (
    ("executor_oom_heap", "Spark ended the JVM for want of heap memory", "52"),
    ("disk_full", "the JVM could not create its local directory", "53"),
    ("network_timeout", "the executor had lost its driver", "56"),
    ("executor_oom_overhead", "the process was killed with SIGKILL, most often for its memory", "137 -9"),
    ("executor_lost_preempted", "the process was told to end (SIGTERM), as when a node goes away", "143 -15"),
    ("timeout_killed", "a time limit ended the process", "124 142 152 -14 -24"),
    ("dependency_missing", "a program, a class or a library was not found", "127 101"),
    ("submit_config_error", "a program could not be run", "126"),
    (
        "internal_spark_bug:as_is",
        "native code crashed the process",
        "132 134 135 136 139 159 -4 -6 -7 -8 -11 -31",
    ),
    ("network_timeout", "the reader at the other end had gone", "141 -13"),
    ("disk_full", "a file grew over the limit of the system", "153 -25"),
    ("timeout_killed", "somebody interrupted the process", "130 129 131 -2 -1 -3"),
    ("nothing", "", "0 1 2 3 10 11 12 13 14 15 16 50 51 54 55 57 58 128 254 255"),
)
"""Exit codes; negative: ended by that signal, as Python's subprocess counts. 10 to 16 are of YARN's ApplicationMaster."""

_LIMITS = "executor_oom_overhead"
_REASON = re.compile(
    r"\b(?:(?:termination |container |pod |eviction |failure )?reason|Reason)\"? ?[:=] ?\"?'?([A-Z][A-Za-z-]{3,40})\b(?! [a-z])"
    r"|\bterminated with reason:? \"?([A-Z][A-Za-z]{3,40})|\bwaiting(?: with)? reason:? \"?([A-Z][A-Za-z]{3,40})"
    r"|\b(?:OOMKilled|ImagePullBackOff|ErrImagePull|InvalidImageName|CreateContainerConfigError|RunContainerError"
    r"|DeletionByTaintManager|EvictionByEvictionAPI)\b"
)
_YARN = re.compile(
    r"\b[Cc]ontainer\b[^\n]{0,200}?\b[Ee]xit (?:status|code)[: ]{1,3}(-\d{3,4})\b|\bexitStatus[=: ]{1,3}(-\d{3,4})\b"
    r"|\bwith exitCode: (-\d{3,4})\b"
)
_EXIT = re.compile(
    r"\b(?:[Ee]xit(?:ed)?(?: with)?(?: a)?(?: non-zero)?(?: exit)?[ _]?(?:[Cc]ode|status|Status|value)?(?: was| is)?[:= ]{1,3}\(?"
    r"|[Ee]rror code is: ?|returned? (?:a )?non-zero exit status |returncode[:= ]{1,2})(-?\d{1,3})(?![\d.])"
)
_SIGNAL = re.compile(
    r"\b(?:[Ss]ignal[: ]{1,2}|died with <Signals\.|killed by |terminated by )(?:signal )?(?:(SIG[A-Z]{2,6})|(\d{1,2}))\b"
)
_DRIVER = re.compile(r"(?:\b[Dd]river|spark-submit|ApplicationMaster|AM Container|Cannot execute)\b")
_EXECUTOR = re.compile(r"\b[Ee]xecutor\b")


@lru_cache(maxsize=1)
def reasons() -> dict[str, Meaning | None]:
    """Reason of Kubernetes to what it means."""
    return by_code(KUBERNETES)


@lru_cache(maxsize=1)
def _yarn() -> dict[str, Meaning | None]:
    return by_code(YARN)


@lru_cache(maxsize=1)
def exits() -> dict[str, Meaning | None]:
    """Exit code or negative number of a signal to what it means."""
    return by_code(EXITS)


def read(text: str) -> tuple[str, Meaning] | None:
    """The reason, status or exit code that a message states, with what it means."""
    found = _REASON.search(text)
    if found is not None:
        name = found[1] or found[2] or found[3] or found[0]
        meaning = reasons().get(name)
        if meaning is not None:
            return f"kubernetes-{re.sub(r'(?<=[a-z])(?=[A-Z])', '-', name).lower()}", meaning
    found = _YARN.search(text)
    if found is not None:
        number = found[1] or found[2] or found[3]
        meaning = _yarn().get(number)
        return (f"yarn-exit-{number[1:]}", meaning) if meaning is not None else None
    found = _SIGNAL.search(text)
    if found is not None:
        number = f"-{found[2] or _number(found[1])}"
        meaning = exits().get(number)
        if meaning is not None:
            return f"signal-{number[1:]}", meaning
    found = _EXIT.search(text)
    if found is not None:
        meaning = exits().get(found[1])
        if meaning is not None:
            return f"exit-{found[1].lstrip('-')}", meaning
    return None


def side(text: str) -> str | None:
    """Which process a message about an exit speaks of."""
    if _EXECUTOR.search(text):
        return "executor"
    return "driver" if _DRIVER.search(text) else None


def _number(name: str) -> int:
    number = getattr(signal, name, None)
    return int(number) if number is not None else 0
