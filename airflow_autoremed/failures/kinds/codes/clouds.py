"""Error codes of AWS, Google Cloud and Azure whose names do not say what they mean; the others are read as names."""

from __future__ import annotations

import re
from functools import lru_cache

from airflow_autoremed.failures.kinds.meaning import Meaning, Rows, by_code

AWS: Rows = (
    (
        "object_store_throttle",
        "a service of AWS asked for fewer requests",
        "SlowDown Throttling ThrottlingException ThrottledException RequestThrottled RequestThrottledException "
        "RequestLimitExceeded TooManyRequestsException ProvisionedThroughputExceededException BandwidthLimitExceeded "
        "EC2ThrottledException PriorRequestNotComplete TransactionInProgressException ",
    ),
    (
        "network_timeout",
        "a service of AWS was not ready or did not answer",
        "ServiceUnavailable ServiceUnavailableException InternalError InternalFailure InternalServerError InternalServiceError "
        "InternalServiceException InternalServerException RequestTimeout RequestTimeoutException OperationAborted "
        "ModelTimeoutException ServiceFailure Unavailable ServerException IncompleteBody "
        "OperationTimeoutException EndpointConnectionError",
    ),
    (
        "auth_permission",
        "AWS refused the credentials or the right",
        "AccessDenied AccessDeniedException AllAccessDisabled AccountProblem AuthFailure Blocked InvalidAccessKeyId "
        "InvalidClientTokenId InvalidSecurity NotAuthorized NotSignedUp OptInRequired SignatureDoesNotMatch UnauthorizedAccess "
        "UnauthorizedOperation UnrecognizedClientException MissingAuthenticationToken MissingAuthenticationTokenException "
        "IncompleteSignature InvalidSignatureException CrossLocationLoggingProhibited KMS.AccessDeniedException "
        "KMS.DisabledException KMSAccessDeniedException InvalidObjectState RequestTimeTooSkewed InvalidPayer "
        "AccessPointNotOwned InvalidRoleException",
    ),
    (
        "credentials_expired",
        "the token or session of AWS has expired",
        "ExpiredToken ExpiredTokenException RequestExpired TokenRefreshRequired InvalidToken ExpiredPresignedUrl",
    ),
    (
        "missing_data",
        "AWS has no such bucket, key, table or resource",
        "NoSuchBucket NoSuchKey NoSuchUpload NoSuchVersion NoSuchEntity NoSuchEntityException EntityNotFoundException "
        "ResourceNotFoundException ResourceNotFoundFault DBClusterNotFoundFault NoSuchLifecycleConfiguration NotFound "
        "TableNotFoundException QueueDoesNotExist NoSuchBucketPolicy",
    ),
    (
        "concurrency_conflict",
        "AWS met a conflict with another change",
        "ConditionalCheckFailedException ConditionalRequestConflict ConcurrentModificationException "
        "ConflictException PreconditionFailed ResourceInUseException TransactionConflictException TransactionCanceledException "
        "BucketAlreadyExists BucketAlreadyOwnedByYou AlreadyExistsException EntityAlreadyExists ResourceAlreadyExistsException "
        "VersionMismatchException DuplicateTransactionException IdempotentParameterMismatch ",
    ),
    (
        "license_or_quota",
        "a limit of the AWS account is reached",
        "LimitExceeded LimitExceededException ServiceQuotaExceededException ResourceNumberLimitExceededException "
        "TooManyBuckets VcpuLimitExceeded MaxSpotInstanceCountExceeded InstanceLimitExceeded VolumeLimitExceeded QuotaExceeded "
        "AddressLimitExceeded",
    ),
    (
        "license_or_quota:as_is",
        "as many runs as AWS allows are active",
        "ConcurrentRunsExceeded ConcurrentRunsExceededException",
    ),
    (
        "resource_unavailable",
        "AWS had no machine of this kind to give",
        "InsufficientInstanceCapacity InsufficientCapacity InsufficientReservedInstanceCapacity InsufficientHostCapacity "
        "InsufficientAddressCapacity InsufficientFreeAddressesInSubnet SpotMaxPriceTooLow IllegalSessionState ResourceNotReadyException",
    ),
    (
        "executor_lost_preempted",
        "AWS took a machine back",
        "SpotInstanceTermination Server.SpotInstanceTermination "
        "Server.SpotInstanceShutdown Server.InsufficientInstanceCapacity Server.InternalError Client.UserInitiatedShutdown",
    ),
    (
        "bad_data",
        "AWS found the content damaged or malformed",
        "BadDigest InvalidDigest MalformedXML InvalidXML XAmzContentSHA256Mismatch CSVParsingError JSONParsingError "
        "ParquetParsingError SerializationException InvalidTextEncoding InvalidCompressionFormat EntityTooSmall",
    ),
    (
        "object_store_other:no",
        "the request to the object store is wrong",
        "PermanentRedirect AuthorizationHeaderMalformed IllegalLocationConstraintException InvalidBucketName InvalidBucketState "
        "InvalidPart InvalidPartOrder InvalidRange EntityTooLarge KeyTooLongError MissingContentLength MethodNotAllowed "
        "MalformedACLError InvalidStorageClass InvalidLocationConstraint BadRequest NotImplemented InvalidURI",
    ),
    (
        "user_code_error",
        "AWS refused the request as wrong",
        "InvalidParameterValue InvalidParameterCombination InvalidParameterException ValidationError ValidationException "
        "InvalidRequest InvalidRequestException InvalidInputException InvalidArgument MissingParameter MissingAction InvalidAction "
        "MalformedQueryString InvalidQueryParameter MalformedPolicyDocument UnknownOperationException ResourceTypeNotFound "
        "InvalidArgumentException SerializationError ItemCollectionSizeLimitExceededException",
    ),
    (
        "object_store_other",
        "a request was sent to another place, or the store could not do it now",
        "TemporaryRedirect Redirect RestoreAlreadyInProgress ReplicationError",
    ),
)
GOOGLE: Rows = (
    (
        "object_store_throttle",
        "a service of Google asked for fewer requests",
        "rateLimitExceeded userRateLimitExceeded jobRateLimitExceeded tooManyRequests RATE_LIMIT_EXCEEDED "
        "tableUnavailable jobBackendError",
    ),
    (
        "network_timeout",
        "a service of Google was not ready or did not answer",
        "backendError internalError serviceUnavailable connectionRefused connectionInvalid timeout deadlineExceeded",
    ),
    (
        "auth_permission",
        "Google refused the credentials or the right",
        "accessDenied forbidden authError insufficientPermissions required accountDisabled accessNotConfigured "
        "IAM_PERMISSION_DENIED ACCESS_TOKEN_SCOPE_INSUFFICIENT SERVICE_DISABLED USER_PROJECT_DENIED API_KEY_INVALID "
        "invalidAuthentication responsePreparationFailure",
    ),
    (
        "credentials_expired",
        "the token of Google has expired",
        "ACCESS_TOKEN_EXPIRED CREDENTIALS_MISSING invalid_grant",
    ),
    ("missing_data", "Google has no such bucket, object or table", "notFound fileNotFound resourceNotFound"),
    (
        "concurrency_conflict",
        "Google met a conflict with another change",
        "conflict duplicate alreadyExists conditionNotMet resourceInUse updateConflict",
    ),
    (
        "license_or_quota",
        "a limit or the billing of the Google project is reached",
        "quotaExceeded dailyLimitExceeded billingTierLimitExceeded billingNotEnabled billingDisabled BILLING_DISABLED "
        "variableTermExpiredDailyExceeded QUOTA_EXCEEDED responseTooLarge resourcesExceeded",
    ),
    (
        "resource_unavailable",
        "Google had no machine of this kind to give",
        "ZONE_RESOURCE_POOL_EXHAUSTED ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS STOCKOUT resourceExhausted "
        "RESOURCE_POOL_EXHAUSTED",
    ),
    ("schema_or_analysis_error", "the query is not valid", "invalidQuery"),
    (
        "user_code_error",
        "Google refused the request as wrong",
        "invalid invalidParameter parseError badRequest invalidUser",
    ),
    ("timeout_killed", "the job was stopped", "stopped"),
)
AZURE: Rows = (
    (
        "object_store_throttle",
        "a service of Azure asked for fewer requests",
        "ServerBusy TooManyRequests AccountIngressLimit AccountEgressLimit IngressOverAccountLimit EgressOverAccountLimit "
        "OperationsPerSecondLimit AccountIopsLimitExceeded TPMExceeded RequestRateTooLarge "
        "SubscriptionRequestsThrottled",
    ),
    (
        "network_timeout",
        "a service of Azure was not ready or did not answer",
        "OperationTimedOut InternalError InternalServerError ServiceUnavailable GatewayTimeout ServiceNotReady "
        "DatabaseUnavailable StorageServiceUnavailable",
    ),
    (
        "auth_permission",
        "Azure refused the credentials or the right",
        "AuthenticationFailed AuthorizationFailure AuthorizationFailed AuthorizationPermissionMismatch "
        "AuthorizationProtocolMismatch AuthorizationResourceTypeMismatch AuthorizationServiceMismatch "
        "AuthorizationSourceIPMismatch InsufficientAccountPermissions InvalidAuthenticationInfo NoAuthenticationInformation "
        "AccountIsDisabled PublicAccessNotPermitted KeyBasedAuthenticationNotPermitted InvalidAuthenticationTokenTenant "
        "AADSTS50034 AADSTS53003 AADSTS65001 AADSTS700016 AADSTS7000215 AADSTS90002 AADSTS50020 AADSTS500011 AADSTS70021 "
        "AADSTS7000112 AADSTS50105 AADSTS50076 AADSTS50079 InvalidAudience LinkedAuthorizationFailed",
    ),
    (
        "credentials_expired",
        "a token or secret of Azure has expired",
        "ExpiredAuthenticationToken AADSTS7000222 AADSTS700082 AADSTS50173 AADSTS50133 AADSTS700024 AADSTS70043 AADSTS50055 "
        "InvalidAuthenticationToken TokenExpired",
    ),
    (
        "missing_data",
        "Azure has no such container, path or resource",
        "BlobNotFound ContainerNotFound FilesystemNotFound PathNotFound ResourceNotFound ShareNotFound ParentNotFound "
        "SourcePathNotFound RenameDestinationParentPathNotFound FileNotFound QueueNotFound TableNotFound EntityNotFound "
        "ContainerDisabled ResourceGroupNotFound SubscriptionNotFound PathIsNotFound",
    ),
    (
        "concurrency_conflict",
        "Azure met a conflict with another change",
        "BlobAlreadyExists ContainerAlreadyExists PathAlreadyExists FilesystemAlreadyExists ResourceAlreadyExists LeaseAlreadyPresent "
        "LeaseIdMissing LeaseIdMismatchWithBlobOperation LeaseIdMismatchWithContainerOperation LeaseLost LeaseNotPresentWithBlobOperation "
        "ConditionNotMet TargetConditionNotMet SourceConditionNotMet BlobModifiedWhileReading ContainerBeingDeleted "
        "FilesystemBeingDeleted PathConflict DestinationPathIsBeingDeleted PendingCopyOperation SnapshotsPresent "
        "ResourceTypeMismatch InfiniteLeaseDurationRequired EntityAlreadyExists AnotherOperationInProgress "
        "BlobOverwritten InvalidFlushPosition",
    ),
    (
        "license_or_quota",
        "a limit of the Azure subscription or capacity is reached",
        "QuotaExceeded SubscriptionNotRegistered AccountLimitExceeded CapacityLimitExceeded SKUNotAvailable",
    ),
    (
        "resource_unavailable",
        "Azure had no machine of this kind to give",
        "AllocationFailed ZonalAllocationFailed OverconstrainedAllocationRequest OverconstrainedZonalAllocationRequest SkuNotAvailable "
        "SpotPreempted CLOUD_PROVIDER_RESOURCE_STOCKOUT",
    ),
    (
        "bad_data",
        "Azure found the content damaged or malformed",
        "Md5Mismatch InvalidMd5 InvalidXmlDocument InvalidBlobOrBlock InvalidBlockList InvalidBlockId BlockCountExceedsLimit",
    ),
    (
        "object_store_other:no",
        "the request to the object store is wrong",
        "InvalidResourceName InvalidUri InvalidHeaderValue InvalidBlobType BlobTypeNotSupported UnsupportedHeader "
        "UnsupportedHttpVerb UnsupportedQueryParameter UnsupportedRestVersion OutOfRangeInput OutOfRangeQueryParameterValue "
        "RequestBodyTooLarge RequestUrlFailedToParse InvalidInput InvalidRange InvalidRenameSourcePath DirectoryNotEmpty "
        "EndpointUnsupportedAccountFeatures FeatureVersionMismatch InvalidQueryParameterValue MissingRequiredHeader "
        "HierarchicalNamespaceNotEnabled BlobArchived BlobImmutableDueToPolicy",
    ),
    ("object_store_other", "the object is not ready", "BlobBeingRehydrated ContainerBeingCreated"),
)

_CALLED = re.compile(
    r"\bAn error occurred \((\w[\w.]{2,80})\) when calling|\bErrorCode[:=] ?\"?(\w[\w.]{2,80})|\bError Code[:=] (\w[\w.]{2,80})"
    r"|<Code>(\w[\w.]{2,80})</Code>|\berror_code[:=] ?\"?'?([A-Za-z]\w{2,80})|\bStatus ?Code[:=] \d{3}, ?\"?(\w{3,80})"
    r"|\"reason\" ?: ?\"(\w{3,60})\"|\breason: (\w{3,60})\b|\bErrorCode:(\w{3,80})|\b(AADSTS\d{4,7})\b"
    r"|\"code\" ?: ?\"([A-Za-z]\w{3,80})\"|\b__type\":\"(?:[\w.]{1,60}#)?(\w{3,80})|\bcode=(?:'|\")?([A-Z][A-Za-z]{3,80})\b"
    r"|\bx-ms-error-code: (\w{3,80})|, ?(?:40[0349]|412|429|50[03]), (?:GET|HEAD|PUT|DELETE|POST|PATCH), \S{1,400}, (\w{3,80}),"
)


@lru_cache(maxsize=1)
def codes() -> dict[str, Meaning | None]:
    """Code to what it means; where clouds share a code, AWS's meaning, then Azure's."""
    return {**by_code(GOOGLE), **by_code(AZURE), **by_code(AWS)}


def names(text: str) -> list[str]:
    """What a message states as its service's error code."""
    return [next(name for name in found.groups() if name) for found in _CALLED.finditer(text)][:4]


def read(text: str) -> tuple[str, Meaning] | None:
    """The code of a cloud service that a message states, with what it means."""
    for name in names(text):
        meaning = codes().get(name) or codes().get(name.rpartition(".")[2])
        if meaning is not None:
            return f"cloud-{re.sub(r'[^a-z0-9]+', '-', name.lower()).strip('-')}", meaning
    return None
