"""What exception classes mean: those listed by hand, words of names, packages, subsystems. Edit here.

A class that is not listed is judged by its nearest ancestor that is (``classes.txt``, made by ``scripts/make_kinds.py``),
then by the words of its name, then by its package. ``nothing`` keeps a class, and what descends from it, silent.
"""

from __future__ import annotations

from airflow_autoremed.failures.kinds.meaning import Rows

CLASSES: Rows = (
    (
        "network_timeout",
        "a connection could not be made, broke off or took too long",
        "java.net.SocketException java.net.ConnectException java.net.SocketTimeoutException java.net.UnknownHostException "
        "java.net.NoRouteToHostException java.net.PortUnreachableException java.net.http.HttpTimeoutException "
        "java.net.HttpRetryException java.net.ProtocolException java.rmi.ConnectException java.rmi.ConnectIOException "
        "java.rmi.UnknownHostException java.nio.channels.UnresolvedAddressException java.nio.channels.ClosedChannelException "
        "java.nio.channels.AsynchronousCloseException java.util.concurrent.TimeoutException javax.net.ssl.SSLException "
        "java.io.EOFException java.rmi.RemoteException javax.naming.CommunicationException javax.naming.ServiceUnavailableException "
        "io.netty.channel.ChannelException io.netty.channel.StacklessClosedChannelException io.netty.channel.unix.Errors$NativeIoException "
        "io.netty.handler.timeout.TimeoutException io.netty.resolver.dns.DnsNameResolverException "
        "org.apache.http.conn.ConnectTimeoutException org.apache.http.conn.HttpHostConnectException org.apache.http.NoHttpResponseException "
        "org.apache.http.ConnectionClosedException org.apache.http.TruncatedChunkException org.apache.http.conn.ConnectionPoolTimeoutException "
        "org.apache.hadoop.ipc.StandbyException org.apache.hadoop.ipc.RetriableException org.apache.hadoop.ipc.ObserverRetryOnActiveException "
        "org.apache.hadoop.net.ConnectTimeoutException org.apache.hadoop.hdfs.BlockMissingException org.apache.hadoop.hdfs.CannotObtainBlockLengthException "
        "org.apache.hadoop.hdfs.server.namenode.SafeModeException org.apache.hadoop.hdfs.server.namenode.NotReplicatedYetException "
        "org.apache.hadoop.hdfs.protocol.UnregisteredNodeException org.apache.hadoop.hdfs.server.namenode.RetryStartFileException "
        "org.apache.spark.rpc.RpcTimeoutException org.apache.spark.rpc.RpcEndpointNotFoundException "
        "org.apache.zookeeper.KeeperException$ConnectionLossException org.apache.zookeeper.KeeperException$SessionExpiredException "
        "org.apache.zookeeper.KeeperException$OperationTimeoutException org.apache.zookeeper.KeeperException$SessionMovedException "
        "org.apache.thrift.transport.TTransportException thrift.transport.TTransport.TTransportException "
        "org.apache.kafka.common.errors.RetriableException org.apache.kafka.common.errors.TimeoutException "
        "org.apache.kafka.common.errors.DisconnectException org.apache.kafka.common.KafkaException "
        "kafka.errors.RetriableError kafka.errors.KafkaConnectionError kafka.errors.KafkaTimeoutError kafka.errors.NoBrokersAvailable "
        "ConnectionError ConnectionRefusedError ConnectionResetError ConnectionAbortedError BrokenPipeError TimeoutError "
        "socket.timeout socket.gaierror socket.herror ssl.SSLError ssl.SSLEOFError ssl.SSLZeroReturnError urllib.error.URLError http.client.HTTPException "
        "http.client.RemoteDisconnected http.client.IncompleteRead asyncio.exceptions.TimeoutError concurrent.futures._base.TimeoutError "
        "requests.exceptions.ConnectionError requests.exceptions.Timeout requests.exceptions.ChunkedEncodingError "
        "requests.exceptions.RetryError requests.exceptions.ProxyError requests.exceptions.SSLError requests.exceptions.ContentDecodingError "
        "urllib3.exceptions.HTTPError urllib3.exceptions.MaxRetryError urllib3.exceptions.NewConnectionError urllib3.exceptions.ProtocolError "
        "urllib3.exceptions.ReadTimeoutError httpx.TransportError httpx.TimeoutException httpcore.ConnectError httpcore.TimeoutException "
        "httpcore.NetworkError httpx.ConnectError httpx.RemoteProtocolError "
        "aiohttp.client_exceptions.ClientConnectionError aiohttp.client_exceptions.ServerTimeoutError aiohttp.client_exceptions.ClientPayloadError "
        "botocore.exceptions.HTTPClientError botocore.exceptions.EndpointConnectionError botocore.exceptions.ConnectionError "
        "botocore.exceptions.IncompleteReadError botocore.exceptions.ResponseStreamingError botocore.exceptions.MetadataRetrievalError "
        "google.api_core.exceptions.RetryError google.api_core.exceptions.ServerError google.auth.exceptions.TransportError "
        "google.api_core.exceptions.GatewayTimeout google.api_core.exceptions.DeadlineExceeded google.api_core.exceptions.Cancelled "
        "azure.core.exceptions.ServiceRequestError azure.core.exceptions.ServiceResponseError azure.core.exceptions.IncompleteReadError "
        "com.azure.core.exception.ServiceResponseException reactor.core.Exceptions$ReactiveException "
        "grpc.aio._call.AioRpcError grpc._channel._InactiveRpcError grpc._channel._MultiThreadedRendezvous grpc.FutureTimeoutError "
        "redis.exceptions.ConnectionError redis.exceptions.TimeoutError redis.exceptions.BusyLoadingError pymongo.errors.AutoReconnect "
        "pymongo.errors.ServerSelectionTimeoutError pymongo.errors.ConnectionFailure cassandra.cluster.NoHostAvailable cassandra.OperationTimedOut "
        "elasticsearch.ConnectionError elastic_transport.ConnectionError paramiko.ssh_exception.NoValidConnectionsError "
        "com.datastax.driver.core.exceptions.NoHostAvailableException com.datastax.oss.driver.api.core.AllNodesFailedException "
        "com.mongodb.MongoSocketException com.mongodb.MongoTimeoutException com.mongodb.MongoNodeIsRecoveringException com.mongodb.MongoNotPrimaryException "
        "org.elasticsearch.hadoop.rest.EsHadoopNoNodesLeftException org.elasticsearch.hadoop.rest.EsHadoopTransportException "
        "redis.clients.jedis.exceptions.JedisConnectionException "
        "io.grpc.StatusRuntimeException io.grpc.StatusException pyspark.errors.exceptions.connect.RetriesExceeded "
        "com.google.cloud.spark.bigquery.repackaged.io.grpc.StatusRuntimeException "
        "org.eclipse.jetty.io.EofException",
    ),
    (
        "shuffle_fetch_failure",
        "shuffle data could not be fetched",
        "org.apache.spark.shuffle.FetchFailedException org.apache.spark.shuffle.MetadataFetchFailedException "
        "org.apache.spark.storage.BlockFetchException org.apache.spark.network.shuffle.BlockPushException "
        "org.apache.spark.ExecutorDeadException org.apache.spark.network.client.ChunkFetchFailureException "
        "org.apache.celeborn.common.exception.CelebornIOException org.apache.celeborn.common.exception.PartitionUnRetryAbleException "
        "org.apache.celeborn.common.exception.FileCorruptedException "
        "com.aliyun.emr.rss.common.exception.RssException org.apache.uniffle.common.exception.RssException "
        "org.apache.uniffle.common.exception.RssFetchFailedException org.apache.uniffle.common.exception.RssSendFailedException "
        "",
    ),
    (
        "object_store_throttle",
        "a service asked for fewer requests",
        "org.apache.hadoop.fs.s3a.AWSServiceThrottledException com.azure.cosmos.implementation.RequestRateTooLargeException "
        "google.api_core.exceptions.TooManyRequests google.api_core.exceptions.ServiceUnavailable "
        "databricks.sdk.errors.platform.TooManyRequests databricks.sdk.errors.platform.ResourceExhausted "
        "pymysql.err.TooManyConnections kafka.errors.ThrottlingQuotaExceededError requests.exceptions.TooManyRedirects",
    ),
    (
        "object_store_other",
        "the object store failed a request, and its code does not say why",
        "org.apache.hadoop.fs.s3a.AWSS3IOException org.apache.hadoop.fs.s3a.AWSServiceIOException "
        "org.apache.hadoop.fs.s3a.AWSClientIOException org.apache.hadoop.fs.s3a.AWSStatus500Exception "
        "org.apache.hadoop.fs.s3a.RemoteFileChangedException org.apache.hadoop.fs.s3a.AWSNoResponseException "
        "com.amazonaws.services.s3.model.AmazonS3Exception software.amazon.awssdk.services.s3.model.S3Exception "
        "com.amazonaws.SdkClientException com.amazonaws.AmazonClientException software.amazon.awssdk.core.exception.SdkClientException "
        "com.amazonaws.AbortedException software.amazon.awssdk.core.exception.AbortedException com.amazonaws.AmazonServiceException "
        "org.apache.hadoop.fs.azurebfs.contracts.exceptions.AzureBlobFileSystemException "
        "org.apache.hadoop.fs.azurebfs.contracts.exceptions.AbfsRestOperationException com.microsoft.azure.storage.StorageException "
        "org.apache.hadoop.fs.azure.AzureException shaded.databricks.azurebfs.org.apache.hadoop.fs.azurebfs.contracts.exceptions.AbfsRestOperationException "
        "com.google.cloud.storage.StorageException com.google.cloud.hadoop.repackaged.gcs.com.google.cloud.storage.StorageException "
        "com.google.cloud.hadoop.repackaged.gcs.com.google.api.client.googleapis.json.GoogleJsonResponseException "
        "com.aliyun.oss.OSSException com.obs.services.exception.ObsException com.qcloud.cos.exception.CosServiceException",
    ),
    (
        "disk_full",
        "a disk is full or has failed",
        "org.apache.hadoop.util.DiskChecker$DiskErrorException org.apache.hadoop.util.DiskChecker$DiskOutOfSpaceException "
        "org.apache.hadoop.fs.FSError",
    ),
    (
        "auth_permission",
        "the credentials or the right were refused",
        "java.security.AccessControlException java.nio.file.AccessDeniedException java.security.GeneralSecurityException "
        "java.lang.SecurityException org.ietf.jgss.GSSException javax.security.auth.login.LoginException javax.security.sasl.SaslException "
        "javax.naming.AuthenticationException javax.naming.NoPermissionException java.security.cert.CertificateException "
        "javax.net.ssl.SSLPeerUnverifiedException sun.security.validator.ValidatorException sun.security.provider.certpath.SunCertPathBuilderException "
        "org.apache.hadoop.security.AccessControlException org.apache.hadoop.security.KerberosAuthException "
        "org.apache.hadoop.security.authorize.AuthorizationException org.apache.hadoop.security.token.SecretManager$InvalidToken:credentials_expired:as_is "
        "org.apache.hadoop.fs.s3a.CredentialInitializationException org.apache.hadoop.fs.s3a.auth.NoAuthWithAWSException "
        "org.apache.hadoop.fs.s3a.auth.NoAwsCredentialsException org.apache.hadoop.fs.s3a.auth.delegation.DelegationTokenIOException "
        "org.apache.ranger.authorization.hadoop.exceptions.RangerAccessControlException "
        "PermissionError ssl.SSLCertVerificationError google.auth.exceptions.DefaultCredentialsError google.auth.exceptions.MalformedError "
        "google.api_core.exceptions.Forbidden google.api_core.exceptions.Unauthorized google.api_core.exceptions.PermissionDenied "
        "botocore.exceptions.NoCredentialsError botocore.exceptions.PartialCredentialsError botocore.exceptions.NoAuthTokenError "
        "azure.core.exceptions.ClientAuthenticationError azure.identity.CredentialUnavailableError "
        "databricks.sdk.errors.platform.PermissionDenied databricks.sdk.errors.platform.Unauthenticated "
        "org.apache.iceberg.exceptions.ForbiddenException "
        "org.apache.iceberg.exceptions.NotAuthorizedException com.databricks.sql.managedcatalog.acl.UnauthorizedAccessException "
        "com.microsoft.aad.msal4j.MsalServiceException com.azure.identity.CredentialUnavailableException "
        "org.apache.hadoop.hive.ql.security.authorization.plugin.HiveAccessControlException org.apache.spark.SparkSecurityException",
    ),
    (
        "credentials_expired",
        "a token, session or certificate has expired",
        "java.security.cert.CertificateExpiredException jwt.exceptions.ExpiredSignatureError google.auth.exceptions.RefreshError "
        "botocore.exceptions.TokenRetrievalError botocore.exceptions.SSOTokenLoadError botocore.exceptions.UnauthorizedSSOTokenError",
    ),
    (
        "missing_data",
        "a file, table or object is not there",
        "java.io.FileNotFoundException java.nio.file.NoSuchFileException java.nio.file.NotDirectoryException FileNotFoundError NotADirectoryError "
        "org.apache.hadoop.mapred.InvalidInputException org.apache.hadoop.mapreduce.lib.input.InvalidInputException "
        "org.apache.hadoop.fs.PathNotFoundException org.apache.hadoop.fs.s3a.UnknownStoreException "
        "org.apache.hadoop.hdfs.server.namenode.LeaseExpiredException:nothing "
        "org.apache.spark.sql.catalyst.analysis.NoSuchTableException org.apache.spark.sql.catalyst.analysis.NoSuchDatabaseException "
        "org.apache.spark.sql.catalyst.analysis.NoSuchNamespaceException org.apache.spark.sql.catalyst.analysis.NoSuchPartitionException "
        "org.apache.spark.sql.catalyst.analysis.NoSuchPartitionsException org.apache.spark.sql.catalyst.analysis.CannotReplaceMissingTableException "
        "org.apache.hadoop.hive.metastore.api.NoSuchObjectException org.apache.hadoop.hive.ql.metadata.InvalidTableException "
        "org.apache.iceberg.exceptions.NotFoundException org.apache.iceberg.exceptions.NoSuchTableException org.apache.iceberg.exceptions.NoSuchNamespaceException "
        "org.apache.iceberg.exceptions.NoSuchIcebergTableException org.apache.iceberg.exceptions.NoSuchViewException "
        "org.apache.hudi.exception.TableNotFoundException org.apache.hudi.exception.HoodieMetadataException:nothing "
        "com.databricks.sql.transaction.tahoe.DeltaFileNotFoundException "
        "org.apache.spark.sql.delta.DeltaFileNotFoundException org.apache.spark.SparkFileNotFoundException "
        "google.api_core.exceptions.NotFound botocore.errorfactory.NoSuchKey botocore.errorfactory.NoSuchBucket "
        "azure.core.exceptions.ResourceNotFoundError com.mongodb.MongoNamespaceException "
        "pyiceberg.exceptions.NoSuchTableError deltalake.exceptions.TableNotFoundError org.apache.kafka.common.errors.UnknownTopicOrPartitionException "
        "org.apache.kafka.common.errors.OffsetOutOfRangeException org.apache.kafka.clients.consumer.OffsetOutOfRangeException "
        "org.apache.kafka.clients.consumer.NoOffsetForPartitionException kafka.errors.OffsetOutOfRangeError",
    ),
    (
        "schema_or_analysis_error",
        "the query or the schema does not fit",
        "org.apache.spark.sql.AnalysisException org.apache.spark.sql.catalyst.parser.ParseException org.apache.spark.sql.catalyst.ExtendedAnalysisException "
        "org.apache.hadoop.hive.ql.parse.SemanticException org.apache.hadoop.hive.ql.parse.ParseException "
        "org.apache.iceberg.exceptions.ValidationException org.apache.avro.AvroTypeException org.apache.avro.SchemaParseException "
        "org.apache.parquet.schema.InvalidSchemaException org.apache.parquet.io.InvalidRecordException org.apache.orc.impl.SchemaEvolution$IllegalEvolutionException "
        "org.apache.spark.sql.execution.datasources.SchemaColumnConvertNotSupportedException org.apache.hudi.exception.SchemaCompatibilityException "
        "org.apache.hudi.internal.schema.HoodieSchemaException org.apache.hudi.exception.MissingSchemaFieldException "
        "org.apache.spark.sql.delta.DeltaAnalysisException org.apache.spark.sql.delta.schema.InvariantViolationException:bad_data "
        "org.apache.spark.sql.delta.schema.DeltaInvariantViolationException:bad_data "
        "pyspark.errors.exceptions.base.AnalysisException pyspark.errors.exceptions.base.ParseException pyspark.sql.utils.AnalysisException "
        "pyspark.sql.utils.ParseException deltalake.exceptions.SchemaMismatchError pyarrow.lib.ArrowTypeError "
        "polars.exceptions.ColumnNotFoundError polars.exceptions.SchemaError pandas.errors.MergeError pandas.errors.IntCastingNaNError:bad_data "
        "org.apache.spark.sql.catalyst.analysis.UnresolvedException",
    ),
    (
        "bad_data",
        "data are damaged, or not of the form that is expected",
        "java.io.UTFDataFormatException java.io.CharConversionException java.io.StreamCorruptedException java.util.zip.ZipException "
        "java.util.zip.DataFormatException java.nio.charset.CharacterCodingException java.lang.NumberFormatException java.text.ParseException "
        "java.time.DateTimeException java.util.InputMismatchException org.xml.sax.SAXParseException "
        "org.apache.hadoop.fs.ChecksumException org.apache.parquet.io.ParquetDecodingException org.apache.parquet.ParquetRuntimeException "
        "org.apache.parquet.crypto.ParquetCryptoRuntimeException:auth_permission "
        "org.apache.orc.FileFormatException org.apache.avro.InvalidAvroMagicException org.apache.avro.AvroRuntimeException "
        "com.fasterxml.jackson.core.JsonParseException com.fasterxml.jackson.core.JsonProcessingException com.fasterxml.jackson.databind.JsonMappingException "
        "com.univocity.parsers.common.TextParsingException org.json4s.ParserUtil$ParseException com.google.gson.JsonSyntaxException "
        "com.google.protobuf.InvalidProtocolBufferException org.apache.spark.sql.catalyst.util.BadRecordException "
        "org.apache.spark.SparkArithmeticException org.apache.spark.SparkNumberFormatException org.apache.spark.SparkDateTimeException "
        "org.apache.spark.SparkUpgradeException:submit_config_error "
        "org.apache.poi.openxml4j.exceptions.OpenXML4JRuntimeException "
        "org.apache.hadoop.hive.serde2.SerDeException org.apache.commons.compress.compressors.CompressorException net.jpountz.lz4.LZ4Exception "
        "org.xerial.snappy.SnappyIOException io.confluent.kafka.schemaregistry.client.rest.exceptions.RestClientException:nothing "
        "org.apache.kafka.common.errors.SerializationException org.apache.kafka.common.errors.CorruptRecordException "
        "json.decoder.JSONDecodeError requests.exceptions.JSONDecodeError UnicodeDecodeError UnicodeError csv.Error zlib.error lzma.LZMAError gzip.BadGzipFile "
        "zipfile.BadZipFile tarfile.ReadError xml.etree.ElementTree.ParseError xml.parsers.expat.ExpatError binascii.Error _csv.Error EOFError "
        "pandas.errors.ParserError pandas.errors.EmptyDataError pandas.errors.OutOfBoundsDatetime pandas._libs.tslibs.np_datetime.OutOfBoundsDatetime "
        "pandas._libs.tslibs.parsing.DateParseError dateutil.parser._parser.ParserError decimal.InvalidOperation decimal.ConversionSyntax "
        "pyarrow.lib.ArrowInvalid yaml.scanner.ScannerError yaml.parser.ParserError polars.exceptions.ComputeError "
        "jsonschema.exceptions.ValidationError fastavro.validation.ValidationError",
    ),
    (
        "user_code_error",
        "the program met a value or a state that it does not expect",
        "java.lang.NullPointerException java.lang.ClassCastException java.lang.IndexOutOfBoundsException java.lang.ArithmeticException "
        "java.lang.NegativeArraySizeException java.lang.ArrayStoreException java.lang.CloneNotSupportedException java.util.NoSuchElementException "
        "java.util.ConcurrentModificationException java.util.EmptyStackException java.util.IllegalFormatException java.util.MissingResourceException "
        "java.util.regex.PatternSyntaxException java.net.URISyntaxException java.net.MalformedURLException java.io.NotSerializableException "
        "java.io.InvalidObjectException scala.MatchError scala.NotImplementedError scala.UninitializedFieldError "
        "org.apache.spark.SparkUnsupportedOperationException org.apache.spark.api.python.PythonException:nothing "
        "org.apache.spark.SparkNoSuchElementException org.apache.spark.SparkArrayIndexOutOfBoundsException org.apache.spark.SparkIllegalArgumentException "
        "org.codehaus.commons.compiler.CompileException:internal_spark_bug org.codehaus.commons.compiler.InternalCompilerException:internal_spark_bug "
        "TypeError AttributeError NameError UnboundLocalError IndexError KeyError ZeroDivisionError SyntaxError IndentationError RecursionError "
        "NotImplementedError AssertionError StopIteration OverflowError FloatingPointError IsADirectoryError argparse.ArgumentError pickle.PicklingError "
        "_pickle.PicklingError pandas.errors.InvalidIndexError numpy.linalg.LinAlgError numpy.exceptions.AxisError "
        "org.apache.spark.sql.connect.common.InvalidPlanInput pydantic_core._pydantic_core.ValidationError "
        "great_expectations.exceptions.exceptions.GreatExpectationsError botocore.exceptions.ParamValidationError "
        "google.api_core.exceptions.BadRequest google.api_core.exceptions.InvalidArgument",
    ),
    (
        "dependency_missing",
        "a class, module, method or library is missing or does not fit",
        "java.lang.ClassNotFoundException java.lang.NoClassDefFoundError java.lang.LinkageError java.lang.NoSuchMethodException java.lang.NoSuchFieldException "
        "java.lang.InstantiationException java.util.ServiceConfigurationError java.nio.file.ProviderNotFoundException java.nio.charset.UnsupportedCharsetException "
        "org.apache.hadoop.fs.UnsupportedFileSystemException org.apache.spark.SparkClassNotFoundException "
        "java.lang.ExceptionInInitializerError:nothing ModuleNotFoundError ImportError zipimport.ZipImportError pkg_resources.DistributionNotFound "
        "importlib.metadata.PackageNotFoundError",
    ),
    (
        "metastore_or_catalog",
        "the metastore or catalog failed",
        "org.apache.hadoop.hive.metastore.api.MetaException org.apache.hadoop.hive.ql.metadata.HiveException org.apache.thrift.TException "
        "org.apache.thrift.TApplicationException org.apache.hadoop.hive.metastore.api.InvalidOperationException:schema_or_analysis_error "
        "org.apache.hadoop.hive.metastore.api.InvalidObjectException:schema_or_analysis_error "
        "org.apache.iceberg.exceptions.ServiceFailureException org.apache.iceberg.exceptions.ServiceUnavailableException org.apache.iceberg.exceptions.RESTException "
        "org.apache.iceberg.jdbc.UncheckedSQLException org.apache.iceberg.exceptions.CherrypickAncestorCommitException:concurrency_conflict "
        "com.amazonaws.services.glue.model.AWSGlueException software.amazon.awssdk.services.glue.model.GlueException "
        "com.amazonaws.services.glue.model.OperationTimeoutException com.amazonaws.services.glue.model.InternalServiceException "
        "org.datanucleus.exceptions.NucleusDataStoreException javax.jdo.JDODataStoreException javax.jdo.JDOFatalDataStoreException "
        "pyiceberg.exceptions.RESTError",
    ),
    (
        "concurrency_conflict",
        "another writer was in the way, or the output exists",
        "java.nio.file.FileAlreadyExistsException org.apache.hadoop.fs.FileAlreadyExistsException org.apache.hadoop.mapred.FileAlreadyExistsException "
        "org.apache.hadoop.hdfs.protocol.AlreadyBeingCreatedException org.apache.hadoop.hdfs.protocol.RecoveryInProgressException "
        "org.apache.hadoop.hdfs.server.namenode.LeaseExpiredException org.apache.hadoop.ipc.RemoteException:nothing "
        "org.apache.spark.sql.delta.DeltaConcurrentModificationException io.delta.exceptions.DeltaConcurrentModificationException "
        "io.delta.exceptions.ConcurrentAppendException io.delta.exceptions.ConcurrentDeleteReadException io.delta.exceptions.ConcurrentDeleteDeleteException "
        "io.delta.exceptions.MetadataChangedException io.delta.exceptions.ProtocolChangedException io.delta.exceptions.ConcurrentWriteException "
        "io.delta.exceptions.ConcurrentTransactionException delta.exceptions.DeltaConcurrentModificationException "
        "org.apache.iceberg.exceptions.CommitFailedException org.apache.iceberg.exceptions.CommitStateUnknownException org.apache.iceberg.exceptions.AlreadyExistsException "
        "org.apache.hudi.exception.HoodieWriteConflictException org.apache.hudi.exception.HoodieLockException org.apache.hudi.exception.HoodieHeartbeatException "
        "org.apache.hadoop.fs.s3a.commit.PathCommitException org.apache.hadoop.fs.PathExistsException FileExistsError BlockingIOError "
        "org.apache.hadoop.hive.metastore.api.AlreadyExistsException org.apache.hadoop.hive.ql.lockmgr.LockException "
        "java.sql.SQLTransactionRollbackException google.api_core.exceptions.Conflict google.api_core.exceptions.Aborted "
        "google.api_core.exceptions.PreconditionFailed azure.core.exceptions.ResourceExistsError azure.core.exceptions.ResourceModifiedError "
        "org.apache.kafka.common.errors.ProducerFencedException "
        "deltalake.exceptions.CommitFailedError pyiceberg.exceptions.CommitFailedException psycopg2.extensions.TransactionRollbackError",
    ),
    (
        "jdbc_source_error",
        "the database refused the work",
        "java.sql.SQLSyntaxErrorException java.sql.SQLIntegrityConstraintViolationException java.sql.SQLFeatureNotSupportedException "
        "java.sql.SQLDataException java.sql.BatchUpdateException:nothing java.sql.SQLNonTransientException "
        "sqlite3.IntegrityError sqlite3.ProgrammingError psycopg2.ProgrammingError psycopg.ProgrammingError psycopg2.DataError psycopg.DataError "
        "psycopg2.IntegrityError psycopg.IntegrityError pymysql.err.ProgrammingError pymysql.err.DataError pymysql.err.IntegrityError "
        "oracledb.exceptions.IntegrityError oracledb.exceptions.ProgrammingError sqlalchemy.exc.ProgrammingError sqlalchemy.exc.IntegrityError sqlalchemy.exc.DataError "
        "snowflake.connector.errors.ProgrammingError pymongo.errors.DuplicateKeyError com.mongodb.MongoWriteException com.mongodb.MongoCommandException "
        "com.mongodb.MongoBulkWriteException com.datastax.driver.core.exceptions.InvalidQueryException com.datastax.oss.driver.api.core.servererrors.InvalidQueryException "
        "pymongo.errors.OperationFailure org.elasticsearch.hadoop.rest.EsHadoopRemoteException org.elasticsearch.hadoop.EsHadoopIllegalArgumentException",
    ),
    (
        "jdbc_source_error:as_is",
        "the database failed, and what it says does not tell why",
        "java.sql.SQLException java.sql.SQLTransientException java.sql.SQLRecoverableException java.sql.SQLNonTransientConnectionException "
        "java.sql.SQLInvalidAuthorizationSpecException:auth_permission java.sql.SQLTimeoutException:timeout_killed org.postgresql.util.PSQLException "
        "com.mysql.cj.jdbc.exceptions.CommunicationsException com.mysql.jdbc.exceptions.jdbc4.CommunicationsException com.mysql.cj.exceptions.CJCommunicationsException "
        "com.microsoft.sqlserver.jdbc.SQLServerException net.snowflake.client.jdbc.SnowflakeSQLException com.ibm.db2.jcc.am.SqlException "
        "oracle.net.ns.NetException org.apache.derby.shared.common.error.StandardException "
        "sqlite3.OperationalError psycopg2.OperationalError psycopg.OperationalError psycopg2.InterfaceError psycopg.InterfaceError "
        "pymysql.err.OperationalError pymysql.err.InterfaceError oracledb.exceptions.OperationalError oracledb.exceptions.DatabaseError "
        "sqlalchemy.exc.OperationalError sqlalchemy.exc.InterfaceError sqlalchemy.exc.TimeoutError sqlalchemy.exc.DBAPIError snowflake.connector.errors.Error "
        "trino.exceptions.Error org.elasticsearch.hadoop.EsHadoopException com.mongodb.MongoException com.mongodb.spark.sql.connector.exceptions.DataException "
        "com.datastax.driver.core.exceptions.DriverException com.datastax.oss.driver.api.core.DriverException redis.exceptions.RedisError pymongo.errors.PyMongoError "
        "com.zaxxer.hikari.pool.HikariPool$PoolInitializationException pymysql.err.MySQLError databricks.sql.exc.Error cassandra.DriverException",
    ),
    (
        "submit_config_error",
        "a setting or an argument is wrong",
        "org.apache.hadoop.HadoopIllegalArgumentException:nothing org.apache.hadoop.yarn.exceptions.YarnRuntimeException:nothing "
        "org.apache.hadoop.yarn.exceptions.InvalidResourceRequestException:memory_request_invalid org.apache.kafka.common.config.ConfigException "
        "org.apache.kafka.common.errors.InvalidConfigurationException org.apache.hadoop.fs.azurebfs.contracts.exceptions.InvalidConfigurationValueException "
        "org.apache.hadoop.fs.azurebfs.contracts.exceptions.ConfigurationPropertyNotFoundException "
        "org.apache.hadoop.fs.azurebfs.contracts.exceptions.InvalidUriAuthorityException org.apache.hadoop.yarn.exceptions.ApplicationNotFoundException:nothing "
        "org.apache.hadoop.yarn.exceptions.InvalidLabelResourceRequestException java.util.prefs.InvalidPreferencesFormatException configparser.Error "
        "botocore.exceptions.NoRegionError botocore.exceptions.ProfileNotFound botocore.exceptions.InvalidConfigError "
        "com.typesafe.config.ConfigException click.exceptions.UsageError org.apache.hudi.exception.HoodieKeyException:bad_data",
    ),
    (
        "resource_unavailable",
        "the cluster or a service had no room",
        "org.apache.hadoop.yarn.exceptions.SchedulerInvalidResourceRequestException "
        "alluxio.exception.status.ResourceExhaustedException alluxio.exception.status.UnavailableException "
        "google.api_core.exceptions.ResourceExhausted java.net.BindException java.rmi.server.ExportException "
        "",
    ),
    (
        "license_or_quota",
        "a quota or limit is used up",
        "org.apache.hadoop.hdfs.protocol.QuotaExceededException org.apache.hadoop.hdfs.protocol.NSQuotaExceededException "
        "org.apache.hadoop.hdfs.protocol.DSQuotaExceededException org.apache.hadoop.fs.ClusterStorageCapacityExceededException "
        "org.apache.hadoop.hdfs.protocol.QuotaByStorageTypeExceededException",
    ),
    ("stack_overflow", "a thread's stack is used up", "java.lang.StackOverflowError"),
    (
        "executor_oom_heap",
        "the memory of the JVM is used up",
        "java.lang.OutOfMemoryError org.apache.spark.sql.execution.OutOfMemorySparkException:broadcast_oom_or_timeout org.apache.spark.memory.SparkOutOfMemoryError java.lang.VirtualMachineError "
        "com.nvidia.spark.rapids.jni.GpuRetryOOM:executor_oom_overhead com.nvidia.spark.rapids.jni.GpuSplitAndRetryOOM:executor_oom_overhead "
        "com.nvidia.spark.rapids.jni.CpuRetryOOM:executor_oom_overhead com.nvidia.spark.rapids.jni.CpuSplitAndRetryOOM:executor_oom_overhead",
    ),
    (
        "direct_memory_oom",
        "the direct memory of the JVM is used up",
        "io.netty.util.internal.OutOfDirectMemoryError",
    ),
    (
        "serializer_buffer",
        "a buffer of the serialiser is too small",
        "com.esotericsoftware.kryo.io.KryoBufferOverflowException",
    ),
    (
        "executor_oom_python",
        "a Python process has used up its memory",
        "MemoryError numpy.core._exceptions._ArrayMemoryError "
        "numpy._core._exceptions._ArrayMemoryError pyarrow.lib.ArrowMemoryError",
    ),
    (
        "internal_spark_bug",
        "Spark or the JVM failed inside",
        "java.lang.InternalError java.lang.VerifyError java.lang.ClassFormatError "
        "java.lang.BootstrapMethodError:dependency_missing java.lang.UnsupportedClassVersionError:interpreter_mismatch",
    ),
    (
        "nothing",
        "",
        "java.lang.Throwable java.lang.Exception java.lang.Error java.lang.RuntimeException java.io.IOException java.io.UncheckedIOException "
        "java.lang.IllegalStateException java.lang.IllegalArgumentException java.lang.UnsupportedOperationException java.lang.AssertionError "
        "java.lang.InterruptedException java.io.InterruptedIOException java.nio.channels.ClosedByInterruptException java.util.concurrent.RejectedExecutionException "
        "java.util.concurrent.CancellationException java.util.concurrent.ExecutionException java.util.concurrent.CompletionException org.apache.spark.rpc.RpcEnvStoppedException "
        "java.lang.reflect.InvocationTargetException java.lang.reflect.UndeclaredThrowableException java.security.PrivilegedActionException "
        "org.apache.spark.SparkException org.apache.spark.SparkRuntimeException org.apache.spark.TaskKilledException org.apache.spark.SparkUserAppException "
        "org.apache.spark.sql.streaming.StreamingQueryException org.apache.hadoop.util.Shell$ExitCodeException org.apache.hadoop.util.ExitUtil$ExitException "
        "org.apache.hadoop.yarn.exceptions.YarnException org.apache.hadoop.fs.PathIOException java.nio.file.FileSystemException "
        "org.apache.spark.SparkDriverExecutionException org.apache.zookeeper.KeeperException scala.util.control.ControlThrowable "
        "org.apache.spark.sql.execution.QueryExecutionException com.google.common.util.concurrent.UncheckedExecutionException "
        "com.google.common.util.concurrent.ExecutionError java.lang.ReflectiveOperationException org.apache.spark.sql.catalyst.errors.package$TreeNodeException "
        "BaseException Exception OSError IOError EnvironmentError RuntimeError ValueError ArithmeticError LookupError SystemExit KeyboardInterrupt GeneratorExit Warning "
        "subprocess.CalledProcessError subprocess.SubprocessError py4j.protocol.Py4JError py4j.protocol.Py4JNetworkError py4j.protocol.Py4JJavaError "
        "pyspark.errors.exceptions.base.PySparkException pyspark.errors.exceptions.captured.CapturedException pyspark.errors.exceptions.connect.SparkConnectGrpcException "
        "botocore.exceptions.BotoCoreError botocore.exceptions.ClientError boto3.exceptions.Boto3Error requests.exceptions.RequestException requests.exceptions.HTTPError "
        "urllib.error.HTTPError httpx.HTTPError httpx.HTTPStatusError google.api_core.exceptions.GoogleAPIError google.api_core.exceptions.GoogleAPICallError "
        "google.api_core.exceptions.ClientError azure.core.exceptions.AzureError azure.core.exceptions.HttpResponseError kafka.errors.KafkaError kafka.errors.BrokerResponseError "
        "sqlalchemy.exc.SQLAlchemyError psycopg2.Error psycopg.Error psycopg2.DatabaseError psycopg.DatabaseError sqlite3.Error sqlite3.DatabaseError grpc.RpcError "
        "pyarrow.lib.ArrowException mlflow.exceptions.MlflowException databricks.sdk.errors.base.DatabricksError kubernetes.client.exceptions.ApiException "
        "airflow.exceptions.AirflowException pyspark.errors.exceptions.base.PythonException pyspark.sql.utils.PythonException asyncio.exceptions.CancelledError "
        "scala.tools.nsc.FatalError java.util.concurrent.BrokenBarrierException org.apache.spark.sql.delta.DeltaRuntimeException",
    ),
)
"""``Class:category`` or ``Class:category:restartable`` in a row gives one class another meaning than its row's."""

WORDS: Rows = (
    (
        "dependency_missing",
        "its name says that code is missing or does not fit",
        r"(?:Class|Module|Package|Plugin|Provider|Driver|Library|Symbol|Method|Import)(?:Def)?(?:NotFound|Missing|NotLoaded|Unavailable) "
        r"NoSuch(?:Method|Class|Module|Plugin) NoClassDef UnsatisfiedLink IncompatibleClass UnsupportedClassVersion AbstractMethodError "
        r"ServiceConfigurationError LinkageError ImportError DependencyMissing MissingDependency UnresolvedDependency",
    ),
    (
        "credentials_expired",
        "its name says that a credential has expired",
        r"(?:Token|Credentials?|Password|Certificate|Cert|Ticket|Signature|ApiKey)\w{0,12}Expired "
        r"Expired(?:Token|Credentials?|Password|Certificate|Signature|AuthenticationToken|Jwt) TokenRefresh",
    ),
    (
        "auth_permission",
        "its name says that access was refused",
        r"Unauthori[sz]ed Unauthenticated Forbidden (?:Access|Permission|Privilege)s?Denied Not(?:Authori[sz]ed|Authenticated|Permitted) "
        r"Authentication Authori[sz]ation AccessControl AccessException Invalid(?:Credentials?|Token|Password|Jwt) (?:No|Missing|Bad|Partial)Credentials? Credentials?(?:NotFound|Unavailable|Error|Exception|Missing|Init\w{0,12}|Provider\w{0,12}) "
        r"(?:Login|Auth)(?:Failed|Error|Failure|Exception) FailedLogin Kerberos Krb(?:Exception|Ap|Err) GSSException SecurityException "
        r"(?:SignatureDoesNotMatch|InvalidSignature|InsufficientPermissions?|InsufficientPrivileges?|Sasl(?:Exception|Error)|AccountDisabled|UserNotAllowed)",
    ),
    (
        "object_store_throttle",
        "its name says that a service asked for fewer requests",
        r"Throttl SlowDown TooManyRequests RateLimit(?:ed|er|Exceeded|Exception|Error)? RateExceeded RequestLimitExceeded "
        r"Throughput(?:Limit)?Exceeded ServerBusy TooBusy Overloaded BackPressure",
    ),
    (
        "license_or_quota",
        "its name says that a quota, a limit or a licence is used up",
        r"QuotaExceeded (?:Over|Exceeded|Insufficient)Quota OutOfQuota (?<!Size)(?<!Time)(?<!Memory)LimitExceeded Licen[sc]e(?:Expired|Exception|Error|Invalid|NotFound|Missing|Required) Billing(?:Exception|Error|Disabled|NotEnabled) PaymentRequired "
        r"SubscriptionExpired CapacityLimit",
    ),
    (
        "disk_full",
        "its name says that a disk is full or has failed",
        r"DiskFull NoSpace(?:Left)? DiskError OutOfDisk DiskOutOfSpace StorageFull DiskSpace InsufficientStorage DiskQuota",
    ),
    (
        "executor_oom_overhead",
        "its name says that memory is used up",
        r"(?:Gpu|GPU|Cuda|CUDA|Device)\w{0,20}(?:OOM|OutOfMemory|MemoryError)",
    ),
    (
        "executor_oom_heap",
        "its name says that memory is used up",
        r"OutOfMemory(?!Exceeded) MemoryLimitExceeded OutOfHeap",
    ),
    ("stack_overflow", "its name says that a thread's stack is used up", "StackOverflow"),
    (
        "serializer_buffer",
        "its name says that a buffer is too small",
        "KryoBufferOverflow KryoSerializationBuffer BufferOverflow",
    ),
    (
        "concurrency_conflict",
        "its name says that another writer was in the way, or that the thing exists",
        r"Conflict AlreadyExists AlreadyInUse AlreadyBeing AlreadyLocked AlreadyRunning ResourceExists Concurrent(?:Append|Write|Writer|Delete|Update|Transaction|Modification|Operation|Access|Commit|Run|Stream) "
        r"Commit(?:Failed|StateUnknown|Denied|Conflict) Deadlock Lock(?:Timeout|Acquisition|Held|Wait|Failed|NotAvailable|Exception|Conflict) (?:Cannot|Failed|Unable)\w{0,8}Lock "
        r"SerializationFailure OptimisticLock StaleObject VersionMismatch PreconditionFailed ConditionalCheckFailed TransactionAborted TransactionRollback "
        r"WriteConflict Fenced(?:Exception|Error|Instance) LeaseExpired ResourceInUse (?:Object|Table|File|Path|Topic|Container|Bucket|Index)Exists? ResourceModified",
    ),
    (
        "network_timeout",
        "its name says that a service could not be reached, or not in time",
        r"Tim(?:e|ed)Out(?!sideRange) Timeout TimedOut DeadlineExceeded (?<!Test)Connection(?!String|Params|Config|Options)\w{0,20}(?:Exception|Error|Failed|Failure|Lost|Loss|Refused|Reset|Closed|Broken|Aborted|NotFound)\b "
        r"ConnectError CouldNotConnect Disconnect(?:ed|Exception|Error)? (?<!Method)(?<!Kafka)Unavailable(?!Charset) Unreachable NotAvailable(?:Exception|Error|Yet) Socket(?:Exception|Error|Timeout|Closed)? "
        r"Network(?:Exception|Error|Failure|Unavailable|Interface)? BrokenPipe Channel(?:Closed|Exception|Error) ClosedChannel SSLError SSLException SSLHandshake Handshake Tls(?:Error|Exception|Alert) "
        r"UnknownHost HostNotFound UnresolvedAddress NameResolution DnsError (?:Bad)?Gateway(?:Exception|Error|Timeout)? RetriesExhausted RetriesExceeded MaxRetr(?:y|ies) Retr(?:yable|iable|y)(?:Exception|Error)? Transient(?!Property|Object) "
        r"(?<!Non)(?:Transport)(?:Exception|Error|Failure) NotLeader NoLeader NotCoordinator NoHost NoNode(?:s|Available) NoBrokers? (?:Leader|Coordinator|Broker|Host|Server|Endpoint|Node)\w{0,4}(?:NotFound|NotAvailable|Down|Dead) "
        r"(?:Internal)?Server(?:Error|Exception|Failure|Failed)(?:Exception|Error)? Service(?:Failure|Exception|Error|Internal\w{0,8}) InternalService Interrupted(?:Stream|Connection) RemoteProtocol NoResponse NoHttpResponse "
        r"(?:Not|Being)Ready StandbyException SafeMode EndOfStream ClosedConnection UnexpectedDisconnect UnexpectedEnd RpcFailure FetchFailed(?!.{0,40}Shuffle)",
    ),
    (
        "resource_unavailable",
        "its name says that there was no room",
        r"(?:No|Insufficient|OutOf|Lack)(?:Of)?(?:Capacity|Resources?|Instance|Slots?|Executors?|Nodes?) Resources?(?:Unavailable|NotAvailable|Exhausted) CapacityExceeded TooMany(?:Open|Containers|Executors|Connections|Jobs|Sessions|Files|Instances|Clients) "
        r"Unschedulable QueueFull QueueIsFull Rejected(?!Execution) MaxConcurrent PoolExhausted Exhausted",
    ),
    (
        "executor_lost_preempted",
        "its name says that machines were taken away",
        r"Preempted Preemption Evicted Eviction SpotInterruption NodeLost Decommission",
    ),
    (
        "missing_data",
        "its name says that something is not there",
        r"NotFound NoSuch(?!Element|Field) DoesNotExist DoNotExist NotExists? (?:File|Table|Path|Input|Data|Partition|Object|Database|Bucket|Key|Topic|Catalog|Snapshot|Resource|Offset)s?\w{0,3}(?:Missing|IsMissing|Gone|Lost) "
        r"Missing(?:File|Table|Path|Input|Data|Partition|Object|Database|Bucket|Key|Resource|Snapshot|Block)s? Unknown(?:Table|Database|Topic|Schema|Catalog|Namespace|Index|Object|Store|Key)\w{0,14} EmptyInput NoData InvalidInputPath OffsetOutOfRange",
    ),
    (
        "schema_or_analysis_error",
        "its name says that a query or a schema does not fit",
        r"Analysis(?:Exception|Error) Schema(?!Registry\w{0,10}Timeout) TypeMismatch TypeCoercion (?:Column|Field|Attribute)s?(?:NotFound|Missing|Mismatch) Unresolved(?!Address) Sql(?:Parse|Syntax|Validation) SQLSyntax "
        r"SyntaxError SyntaxException Semantic(?:Exception|Error) Ambiguous InvalidQuery QueryError Invalid(?:Column|Field|Schema|Table|Identifier)\w{0,10} IncompatibleType UndefinedColumn UndefinedFunction Undefined(?:Table|Object)",
    ),
    (
        "bad_data",
        "its name says that data are damaged or not of the expected form",
        r"Malformed Corrupt Pars(?:e|er|ing)(?:Exception|Error|Failure|Failed) Decod(?:e|er|ing)(?:Exception|Error|Failure) Encoding(?:Exception|Error) Checksum Crc(?:Exception|Error|Mismatch) Md5Mismatch (?:Invalid|Bad|Illegal|Wrong|Unexpected)(?:Data|Record|Row|Format|Content|Magic|File|Message|Value|Json|Xml|Csv|Encoding|Date|Number|Timestamp|Protocol|Block|Stream|Utf8)\w{0,12} "
        r"Zip(?:Exception|Error|Bomb) Gzip Decompress Compression(?:Exception|Error) Truncated Unparse?able Deserializ SerDe(?:Exception|Error) DataFormat DataLoss FormatException ConversionException CastException CastError OutOfBounds(?:Date|Timestamp) NumberFormat "
        r"DateTimeParse ConstraintViolation InvariantViolation NotNull(?:Constraint|Violation) DataQuality DuplicateKey BadRow JsonMapping",
    ),
    (
        "submit_config_error",
        "its name says that a setting is wrong",
        r"(?:Invalid|Bad|Illegal|Missing|Unknown|Wrong)(?:Config|Configuration|Setting|Option|Property|Properties|Conf)\w{0,12} Config(?:uration)?(?:Exception|Error) Misconfigur (?:Usage|Option|Settings?)(?:Exception|Error)",
    ),
    (
        "user_code_error",
        "its name says that the program asked for something that is not allowed or not there",
        r"Unsupported NotSupported NotImplemented Unimplemented Illegal(?!State|Argument|Thread|Access) Invalid(?:Argument|Parameter|Request|Usage|Operation|Input|Type|Name|Path|Uri|Url|Range|Call|Plan)s?\w{0,12} BadRequest (?:Argument|Parameter)(?:Exception|Error) NotSerializable "
        r"Validation(?:Exception|Error|Failed) Assertion(?:Exception|Failed) Expectation(?:Exception|Error|Failed) Pickl(?:e|ing)(?:Exception|Error) DivisionByZero DivideByZero IndexOutOf NotFitted",
    ),
)
"""Regular expressions on a class's own name, without its package; the first row that fits decides."""

WORD_EXCEPTIONS = (
    "^(?:ExecutorLostFailure|FetchFailed|TaskKilled|TaskResultLost)$|Interrupt(?!ion)|Cancel|Killed|Shutdown|ShutDown|Stopped|Already(?:Closed|Stopped|Started)|Closed(?:By)|Wrapper|Undeclared|"
    "^(?:Exception|Error|IOException|DataError|DatabaseError)$"
)
"""Names that say nothing of a cause, whatever else they hold."""

SUBSYSTEMS: tuple[tuple[str, str, str, str], ...] = (
    # (name, category of what is vague in it, category of a network trouble in it, frames and loggers)
    (
        "object store",
        "object_store_other",
        "object_store_other",
        "org.apache.hadoop.fs.s3a. com.amazon.ws.emr.hadoop.fs. com.amazonaws.services.s3. software.amazon.awssdk.services.s3. "
        "com.google.cloud.hadoop. com.google.cloud.storage. org.apache.hadoop.fs.azurebfs. org.apache.hadoop.fs.azure. com.azure.storage. "
        "com.microsoft.azure.storage. com.aliyun.oss. com.obs. com.qcloud.cos. shaded.databricks.azurebfs. shaded.databricks.org.apache.hadoop.fs.s3a. org.apache.iceberg.aws.s3. org.apache.iceberg.gcp.gcs. "
        "com.databricks.s3commit. s3fs/ gcsfs/ adlfs/ S3AFileSystem",
    ),
    (
        "metastore",
        "metastore_or_catalog",
        "metastore_or_catalog",
        "org.apache.hadoop.hive.metastore. org.apache.hadoop.hive.ql.metadata.Hive org.apache.spark.sql.hive.client. org.apache.spark.sql.hive.HiveExternalCatalog "
        "org.apache.iceberg.hive. org.apache.iceberg.rest. org.apache.iceberg.aws.glue. org.apache.iceberg.jdbc. com.amazonaws.glue. com.amazonaws.services.glue. "
        "software.amazon.awssdk.services.glue. com.databricks.managedcatalog. com.databricks.sql.managedcatalog. org.apache.hudi.hive. io.unitycatalog. org.datanucleus. HiveMetaStoreClient",
    ),
    (
        "shuffle",
        "shuffle_fetch_failure",
        "shuffle_fetch_failure",
        "org.apache.spark.storage.ShuffleBlockFetcherIterator org.apache.spark.network.shuffle. org.apache.spark.shuffle. org.apache.celeborn. org.apache.uniffle. "
        "org.apache.spark.MapOutputTracker ShuffleBlockFetcherIterator RetryingBlockTransferor RetryingBlockFetcher",
    ),
    (
        "broadcast",
        "broadcast_oom_or_timeout",
        "broadcast_oom_or_timeout",
        "org.apache.spark.sql.execution.exchange.BroadcastExchange org.apache.spark.sql.execution.joins.HashedRelation org.apache.spark.sql.execution.joins.LongHashedRelation "
        "BroadcastExchangeExec broadcast-exchange-",
    ),
    (
        "database",
        "jdbc_source_error",
        "jdbc_source_error",
        "org.apache.spark.sql.execution.datasources.jdbc. org.postgresql. com.mysql. org.mariadb. oracle.jdbc. oracle.net. com.microsoft.sqlserver. net.snowflake. "
        "com.amazon.redshift. com.ibm.db2. com.teradata. io.trino.jdbc. com.clickhouse. com.sap.db. com.simba. com.vertica. org.sqlite. org.h2. "
        "com.datastax. com.mongodb. org.elasticsearch.hadoop. redis.clients. org.neo4j. com.couchbase. psycopg2/ pymysql/ oracledb/ sqlalchemy/",
    ),
    (
        "Kafka",
        "network_timeout",
        "network_timeout",
        "org.apache.kafka. org.apache.spark.sql.kafka010. org.apache.spark.streaming.kafka010.",
    ),
    ("HDFS", "network_timeout", "network_timeout", "org.apache.hadoop.hdfs. org.apache.hadoop.ipc.Client"),
)
"""The topmost frame (or a logger) that belongs to one of them decides."""

DATA_READERS = [
    "org.apache.parquet.",
    "org.apache.orc.",
    "org.apache.avro.",
    "com.fasterxml.jackson.core.",
    "com.univocity.",
    "org.apache.spark.sql.catalyst.json.",
    "org.apache.spark.sql.catalyst.csv.",
    "org.apache.spark.sql.catalyst.xml.",
    "com.databricks.spark.xml.",
    "org.apache.poi.",
    "com.crealytics.",
    "org.apache.hadoop.hive.serde2.",
]
"""Where they fail in a way that is no trouble of input and output, data are not what is expected."""

PACKAGES: Rows = (
    (
        "jdbc_source_error:as_is",
        "it comes from a database's driver",
        "org.postgresql. com.mysql. org.mariadb.jdbc. oracle.jdbc. com.microsoft.sqlserver.jdbc. net.snowflake. com.amazon.redshift. com.ibm.db2. com.teradata. "
        "io.trino.jdbc. com.clickhouse. com.sap.db.jdbc. com.vertica.jdbc. psycopg2. psycopg. pymysql. oracledb. trino. snowflake.connector. cassandra. pymongo. com.mongodb. com.datastax.",
    ),
    (
        "object_store_other",
        "it comes from an object store's client",
        "org.apache.hadoop.fs.s3a. com.amazonaws.services.s3. software.amazon.awssdk.services.s3. com.google.cloud.storage. com.azure.storage. com.microsoft.azure.storage. "
        "org.apache.hadoop.fs.azurebfs. azure.storage. google.cloud.storage. s3fs. gcsfs. com.aliyun.oss.",
    ),
    (
        "metastore_or_catalog",
        "it comes from a metastore or catalog",
        "org.apache.hadoop.hive.metastore. com.amazonaws.services.glue. software.amazon.awssdk.services.glue. org.datanucleus. io.unitycatalog.",
    ),
    (
        "shuffle_fetch_failure",
        "it comes from a remote shuffle service",
        "org.apache.celeborn. org.apache.uniffle. com.uber.rss.",
    ),
    (
        "network_timeout",
        "it comes from a client of a network service",
        "org.apache.kafka. kafka. io.netty. okhttp3. org.apache.http. org.apache.zookeeper. grpc. httpx. httpcore. urllib3. alluxio.exception.status. redis. io.grpc.",
    ),
    (
        "bad_data",
        "it comes from a reader of files",
        "org.apache.parquet. org.apache.orc. com.fasterxml.jackson.core. com.univocity.",
    ),
)

SIDES: tuple[tuple[str, str], ...] = (
    (
        "driver",
        r"task-result-getter|dag-scheduler-event-loop|broadcast-exchange-|Exception in thread \"(?:main|Driver|Thread-\d{1,3})\"|\bexecutor driver\b|spark-listener-group|"
        r"dispatcher-CoarseGrainedScheduler|\bat org\.apache\.spark\.(?:sql\.)?Dataset\.collect|DAGScheduler\.|BroadcastExchangeExec|\bat org\.apache\.spark\.deploy\.SparkSubmit",
    ),
    (
        "executor",
        r"Executor task launch worker|Exception in task \d|Lost task \d|\bexecutor \d{1,6}\)|stdout writer for |org\.apache\.spark\.executor\.Executor\$TaskRunner|"
        r"/pyspark/worker\.py|pyspark\.zip/pyspark/worker|org\.apache\.spark\.scheduler\.Task\.run|shuffle-server-|shuffle-client-|Executor: ",
    ),
)
"""Threads, loggers and frames that run in one process only."""
