// Written by `virt-sys/generate` from libvirt's headers, version 9000000. Do not edit.

use std::ffi::*;
use std::ptr::{null, null_mut};

use crate::library::forward;

pub const VIR_CONNECT_IDENTITY_GROUP_NAME: &CStr = c"group-name";
pub const VIR_CONNECT_IDENTITY_PROCESS_ID: &CStr = c"process-id";
pub const VIR_CONNECT_IDENTITY_PROCESS_TIME: &CStr = c"process-time";
pub const VIR_CONNECT_IDENTITY_SASL_USER_NAME: &CStr = c"sasl-user-name";
pub const VIR_CONNECT_IDENTITY_SELINUX_CONTEXT: &CStr = c"selinux-context";
pub const VIR_CONNECT_IDENTITY_UNIX_GROUP_ID: &CStr = c"unix-group-id";
pub const VIR_CONNECT_IDENTITY_UNIX_USER_ID: &CStr = c"unix-user-id";
pub const VIR_CONNECT_IDENTITY_USER_NAME: &CStr = c"user-name";
pub const VIR_CONNECT_IDENTITY_X509_DISTINGUISHED_NAME: &CStr = c"x509-distinguished-name";
pub const VIR_DOMAIN_BANDWIDTH_IN_AVERAGE: &CStr = c"inbound.average";
pub const VIR_DOMAIN_BANDWIDTH_IN_BURST: &CStr = c"inbound.burst";
pub const VIR_DOMAIN_BANDWIDTH_IN_FLOOR: &CStr = c"inbound.floor";
pub const VIR_DOMAIN_BANDWIDTH_IN_PEAK: &CStr = c"inbound.peak";
pub const VIR_DOMAIN_BANDWIDTH_OUT_AVERAGE: &CStr = c"outbound.average";
pub const VIR_DOMAIN_BANDWIDTH_OUT_BURST: &CStr = c"outbound.burst";
pub const VIR_DOMAIN_BANDWIDTH_OUT_PEAK: &CStr = c"outbound.peak";
pub const VIR_DOMAIN_BLKIO_DEVICE_READ_BPS: &CStr = c"device_read_bytes_sec";
pub const VIR_DOMAIN_BLKIO_DEVICE_READ_IOPS: &CStr = c"device_read_iops_sec";
pub const VIR_DOMAIN_BLKIO_DEVICE_WEIGHT: &CStr = c"device_weight";
pub const VIR_DOMAIN_BLKIO_DEVICE_WRITE_BPS: &CStr = c"device_write_bytes_sec";
pub const VIR_DOMAIN_BLKIO_DEVICE_WRITE_IOPS: &CStr = c"device_write_iops_sec";
pub const VIR_DOMAIN_BLKIO_WEIGHT: &CStr = c"weight";
pub const VIR_DOMAIN_BLOCK_COPY_BANDWIDTH: &CStr = c"bandwidth";
pub const VIR_DOMAIN_BLOCK_COPY_BUF_SIZE: &CStr = c"buf-size";
pub const VIR_DOMAIN_BLOCK_COPY_GRANULARITY: &CStr = c"granularity";
pub const VIR_DOMAIN_BLOCK_IOTUNE_GROUP_NAME: &CStr = c"group_name";
pub const VIR_DOMAIN_BLOCK_IOTUNE_READ_BYTES_SEC: &CStr = c"read_bytes_sec";
pub const VIR_DOMAIN_BLOCK_IOTUNE_READ_BYTES_SEC_MAX: &CStr = c"read_bytes_sec_max";
pub const VIR_DOMAIN_BLOCK_IOTUNE_READ_BYTES_SEC_MAX_LENGTH: &CStr = c"read_bytes_sec_max_length";
pub const VIR_DOMAIN_BLOCK_IOTUNE_READ_IOPS_SEC: &CStr = c"read_iops_sec";
pub const VIR_DOMAIN_BLOCK_IOTUNE_READ_IOPS_SEC_MAX: &CStr = c"read_iops_sec_max";
pub const VIR_DOMAIN_BLOCK_IOTUNE_READ_IOPS_SEC_MAX_LENGTH: &CStr = c"read_iops_sec_max_length";
pub const VIR_DOMAIN_BLOCK_IOTUNE_SIZE_IOPS_SEC: &CStr = c"size_iops_sec";
pub const VIR_DOMAIN_BLOCK_IOTUNE_TOTAL_BYTES_SEC: &CStr = c"total_bytes_sec";
pub const VIR_DOMAIN_BLOCK_IOTUNE_TOTAL_BYTES_SEC_MAX: &CStr = c"total_bytes_sec_max";
pub const VIR_DOMAIN_BLOCK_IOTUNE_TOTAL_BYTES_SEC_MAX_LENGTH: &CStr = c"total_bytes_sec_max_length";
pub const VIR_DOMAIN_BLOCK_IOTUNE_TOTAL_IOPS_SEC: &CStr = c"total_iops_sec";
pub const VIR_DOMAIN_BLOCK_IOTUNE_TOTAL_IOPS_SEC_MAX: &CStr = c"total_iops_sec_max";
pub const VIR_DOMAIN_BLOCK_IOTUNE_TOTAL_IOPS_SEC_MAX_LENGTH: &CStr = c"total_iops_sec_max_length";
pub const VIR_DOMAIN_BLOCK_IOTUNE_WRITE_BYTES_SEC: &CStr = c"write_bytes_sec";
pub const VIR_DOMAIN_BLOCK_IOTUNE_WRITE_BYTES_SEC_MAX: &CStr = c"write_bytes_sec_max";
pub const VIR_DOMAIN_BLOCK_IOTUNE_WRITE_BYTES_SEC_MAX_LENGTH: &CStr = c"write_bytes_sec_max_length";
pub const VIR_DOMAIN_BLOCK_IOTUNE_WRITE_IOPS_SEC: &CStr = c"write_iops_sec";
pub const VIR_DOMAIN_BLOCK_IOTUNE_WRITE_IOPS_SEC_MAX: &CStr = c"write_iops_sec_max";
pub const VIR_DOMAIN_BLOCK_IOTUNE_WRITE_IOPS_SEC_MAX_LENGTH: &CStr = c"write_iops_sec_max_length";
pub const VIR_DOMAIN_BLOCK_STATS_ERRS: &CStr = c"errs";
pub const VIR_DOMAIN_BLOCK_STATS_FLUSH_REQ: &CStr = c"flush_operations";
pub const VIR_DOMAIN_BLOCK_STATS_FLUSH_TOTAL_TIMES: &CStr = c"flush_total_times";
pub const VIR_DOMAIN_BLOCK_STATS_READ_BYTES: &CStr = c"rd_bytes";
pub const VIR_DOMAIN_BLOCK_STATS_READ_REQ: &CStr = c"rd_operations";
pub const VIR_DOMAIN_BLOCK_STATS_READ_TOTAL_TIMES: &CStr = c"rd_total_times";
pub const VIR_DOMAIN_BLOCK_STATS_WRITE_BYTES: &CStr = c"wr_bytes";
pub const VIR_DOMAIN_BLOCK_STATS_WRITE_REQ: &CStr = c"wr_operations";
pub const VIR_DOMAIN_BLOCK_STATS_WRITE_TOTAL_TIMES: &CStr = c"wr_total_times";
pub const VIR_DOMAIN_CPU_STATS_CPUTIME: &CStr = c"cpu_time";
pub const VIR_DOMAIN_CPU_STATS_SYSTEMTIME: &CStr = c"system_time";
pub const VIR_DOMAIN_CPU_STATS_USERTIME: &CStr = c"user_time";
pub const VIR_DOMAIN_CPU_STATS_VCPUTIME: &CStr = c"vcpu_time";
pub const VIR_DOMAIN_IOTHREAD_POLL_GROW: &CStr = c"poll_grow";
pub const VIR_DOMAIN_IOTHREAD_POLL_MAX_NS: &CStr = c"poll_max_ns";
pub const VIR_DOMAIN_IOTHREAD_POLL_SHRINK: &CStr = c"poll_shrink";
pub const VIR_DOMAIN_IOTHREAD_THREAD_POOL_MAX: &CStr = c"thread_pool_max";
pub const VIR_DOMAIN_IOTHREAD_THREAD_POOL_MIN: &CStr = c"thread_pool_min";
pub const VIR_DOMAIN_JOB_AUTO_CONVERGE_THROTTLE: &CStr = c"auto_converge_throttle";
pub const VIR_DOMAIN_JOB_COMPRESSION_BYTES: &CStr = c"compression_bytes";
pub const VIR_DOMAIN_JOB_COMPRESSION_CACHE: &CStr = c"compression_cache";
pub const VIR_DOMAIN_JOB_COMPRESSION_CACHE_MISSES: &CStr = c"compression_cache_misses";
pub const VIR_DOMAIN_JOB_COMPRESSION_OVERFLOW: &CStr = c"compression_overflow";
pub const VIR_DOMAIN_JOB_COMPRESSION_PAGES: &CStr = c"compression_pages";
pub const VIR_DOMAIN_JOB_DATA_PROCESSED: &CStr = c"data_processed";
pub const VIR_DOMAIN_JOB_DATA_REMAINING: &CStr = c"data_remaining";
pub const VIR_DOMAIN_JOB_DATA_TOTAL: &CStr = c"data_total";
pub const VIR_DOMAIN_JOB_DISK_BPS: &CStr = c"disk_bps";
pub const VIR_DOMAIN_JOB_DISK_PROCESSED: &CStr = c"disk_processed";
pub const VIR_DOMAIN_JOB_DISK_REMAINING: &CStr = c"disk_remaining";
pub const VIR_DOMAIN_JOB_DISK_TEMP_TOTAL: &CStr = c"disk_temp_total";
pub const VIR_DOMAIN_JOB_DISK_TEMP_USED: &CStr = c"disk_temp_used";
pub const VIR_DOMAIN_JOB_DISK_TOTAL: &CStr = c"disk_total";
pub const VIR_DOMAIN_JOB_DOWNTIME: &CStr = c"downtime";
pub const VIR_DOMAIN_JOB_DOWNTIME_NET: &CStr = c"downtime_net";
pub const VIR_DOMAIN_JOB_ERRMSG: &CStr = c"errmsg";
pub const VIR_DOMAIN_JOB_MEMORY_BPS: &CStr = c"memory_bps";
pub const VIR_DOMAIN_JOB_MEMORY_CONSTANT: &CStr = c"memory_constant";
pub const VIR_DOMAIN_JOB_MEMORY_DIRTY_RATE: &CStr = c"memory_dirty_rate";
pub const VIR_DOMAIN_JOB_MEMORY_ITERATION: &CStr = c"memory_iteration";
pub const VIR_DOMAIN_JOB_MEMORY_NORMAL: &CStr = c"memory_normal";
pub const VIR_DOMAIN_JOB_MEMORY_NORMAL_BYTES: &CStr = c"memory_normal_bytes";
pub const VIR_DOMAIN_JOB_MEMORY_PAGE_SIZE: &CStr = c"memory_page_size";
pub const VIR_DOMAIN_JOB_MEMORY_POSTCOPY_REQS: &CStr = c"memory_postcopy_requests";
pub const VIR_DOMAIN_JOB_MEMORY_PROCESSED: &CStr = c"memory_processed";
pub const VIR_DOMAIN_JOB_MEMORY_REMAINING: &CStr = c"memory_remaining";
pub const VIR_DOMAIN_JOB_MEMORY_TOTAL: &CStr = c"memory_total";
pub const VIR_DOMAIN_JOB_OPERATION: &CStr = c"operation";
pub const VIR_DOMAIN_JOB_SETUP_TIME: &CStr = c"setup_time";
pub const VIR_DOMAIN_JOB_SUCCESS: &CStr = c"success";
pub const VIR_DOMAIN_JOB_TIME_ELAPSED: &CStr = c"time_elapsed";
pub const VIR_DOMAIN_JOB_TIME_ELAPSED_NET: &CStr = c"time_elapsed_net";
pub const VIR_DOMAIN_JOB_TIME_REMAINING: &CStr = c"time_remaining";
pub const VIR_DOMAIN_LAUNCH_SECURITY_SEV_API_MAJOR: &CStr = c"sev-api-major";
pub const VIR_DOMAIN_LAUNCH_SECURITY_SEV_API_MINOR: &CStr = c"sev-api-minor";
pub const VIR_DOMAIN_LAUNCH_SECURITY_SEV_BUILD_ID: &CStr = c"sev-build-id";
pub const VIR_DOMAIN_LAUNCH_SECURITY_SEV_MEASUREMENT: &CStr = c"sev-measurement";
pub const VIR_DOMAIN_LAUNCH_SECURITY_SEV_POLICY: &CStr = c"sev-policy";
pub const VIR_DOMAIN_LAUNCH_SECURITY_SEV_SECRET: &CStr = c"sev-secret";
pub const VIR_DOMAIN_LAUNCH_SECURITY_SEV_SECRET_HEADER: &CStr = c"sev-secret-header";
pub const VIR_DOMAIN_LAUNCH_SECURITY_SEV_SECRET_SET_ADDRESS: &CStr = c"sev-secret-set-address";
pub const VIR_DOMAIN_MEMORY_HARD_LIMIT: &CStr = c"hard_limit";
pub const VIR_DOMAIN_MEMORY_MIN_GUARANTEE: &CStr = c"min_guarantee";
pub const VIR_DOMAIN_MEMORY_SOFT_LIMIT: &CStr = c"soft_limit";
pub const VIR_DOMAIN_MEMORY_SWAP_HARD_LIMIT: &CStr = c"swap_hard_limit";
pub const VIR_DOMAIN_NUMA_MODE: &CStr = c"numa_mode";
pub const VIR_DOMAIN_NUMA_NODESET: &CStr = c"numa_nodeset";
pub const VIR_DOMAIN_SAVE_PARAM_DXML: &CStr = c"dxml";
pub const VIR_DOMAIN_SAVE_PARAM_FILE: &CStr = c"file";
pub const VIR_DOMAIN_SCHEDULER_CAP: &CStr = c"cap";
pub const VIR_DOMAIN_SCHEDULER_CPU_SHARES: &CStr = c"cpu_shares";
pub const VIR_DOMAIN_SCHEDULER_EMULATOR_PERIOD: &CStr = c"emulator_period";
pub const VIR_DOMAIN_SCHEDULER_EMULATOR_QUOTA: &CStr = c"emulator_quota";
pub const VIR_DOMAIN_SCHEDULER_GLOBAL_PERIOD: &CStr = c"global_period";
pub const VIR_DOMAIN_SCHEDULER_GLOBAL_QUOTA: &CStr = c"global_quota";
pub const VIR_DOMAIN_SCHEDULER_IOTHREAD_PERIOD: &CStr = c"iothread_period";
pub const VIR_DOMAIN_SCHEDULER_IOTHREAD_QUOTA: &CStr = c"iothread_quota";
pub const VIR_DOMAIN_SCHEDULER_LIMIT: &CStr = c"limit";
pub const VIR_DOMAIN_SCHEDULER_RESERVATION: &CStr = c"reservation";
pub const VIR_DOMAIN_SCHEDULER_SHARES: &CStr = c"shares";
pub const VIR_DOMAIN_SCHEDULER_VCPU_PERIOD: &CStr = c"vcpu_period";
pub const VIR_DOMAIN_SCHEDULER_VCPU_QUOTA: &CStr = c"vcpu_quota";
pub const VIR_DOMAIN_SCHEDULER_WEIGHT: &CStr = c"weight";
pub const VIR_DOMAIN_TUNABLE_BLKDEV_DISK: &CStr = c"blkdeviotune.disk";
pub const VIR_DOMAIN_TUNABLE_BLKDEV_GROUP_NAME: &CStr = c"blkdeviotune.group_name";
pub const VIR_DOMAIN_TUNABLE_BLKDEV_READ_BYTES_SEC: &CStr = c"blkdeviotune.read_bytes_sec";
pub const VIR_DOMAIN_TUNABLE_BLKDEV_READ_BYTES_SEC_MAX: &CStr = c"blkdeviotune.read_bytes_sec_max";
pub const VIR_DOMAIN_TUNABLE_BLKDEV_READ_BYTES_SEC_MAX_LENGTH: &CStr =
    c"blkdeviotune.read_bytes_sec_max_length";
pub const VIR_DOMAIN_TUNABLE_BLKDEV_READ_IOPS_SEC: &CStr = c"blkdeviotune.read_iops_sec";
pub const VIR_DOMAIN_TUNABLE_BLKDEV_READ_IOPS_SEC_MAX: &CStr = c"blkdeviotune.read_iops_sec_max";
pub const VIR_DOMAIN_TUNABLE_BLKDEV_READ_IOPS_SEC_MAX_LENGTH: &CStr =
    c"blkdeviotune.read_iops_sec_max_length";
pub const VIR_DOMAIN_TUNABLE_BLKDEV_SIZE_IOPS_SEC: &CStr = c"blkdeviotune.size_iops_sec";
pub const VIR_DOMAIN_TUNABLE_BLKDEV_TOTAL_BYTES_SEC: &CStr = c"blkdeviotune.total_bytes_sec";
pub const VIR_DOMAIN_TUNABLE_BLKDEV_TOTAL_BYTES_SEC_MAX: &CStr =
    c"blkdeviotune.total_bytes_sec_max";
pub const VIR_DOMAIN_TUNABLE_BLKDEV_TOTAL_BYTES_SEC_MAX_LENGTH: &CStr =
    c"blkdeviotune.total_bytes_sec_max_length";
pub const VIR_DOMAIN_TUNABLE_BLKDEV_TOTAL_IOPS_SEC: &CStr = c"blkdeviotune.total_iops_sec";
pub const VIR_DOMAIN_TUNABLE_BLKDEV_TOTAL_IOPS_SEC_MAX: &CStr = c"blkdeviotune.total_iops_sec_max";
pub const VIR_DOMAIN_TUNABLE_BLKDEV_TOTAL_IOPS_SEC_MAX_LENGTH: &CStr =
    c"blkdeviotune.total_iops_sec_max_length";
pub const VIR_DOMAIN_TUNABLE_BLKDEV_WRITE_BYTES_SEC: &CStr = c"blkdeviotune.write_bytes_sec";
pub const VIR_DOMAIN_TUNABLE_BLKDEV_WRITE_BYTES_SEC_MAX: &CStr =
    c"blkdeviotune.write_bytes_sec_max";
pub const VIR_DOMAIN_TUNABLE_BLKDEV_WRITE_BYTES_SEC_MAX_LENGTH: &CStr =
    c"blkdeviotune.write_bytes_sec_max_length";
pub const VIR_DOMAIN_TUNABLE_BLKDEV_WRITE_IOPS_SEC: &CStr = c"blkdeviotune.write_iops_sec";
pub const VIR_DOMAIN_TUNABLE_BLKDEV_WRITE_IOPS_SEC_MAX: &CStr = c"blkdeviotune.write_iops_sec_max";
pub const VIR_DOMAIN_TUNABLE_BLKDEV_WRITE_IOPS_SEC_MAX_LENGTH: &CStr =
    c"blkdeviotune.write_iops_sec_max_length";
pub const VIR_DOMAIN_TUNABLE_CPU_CPU_SHARES: &CStr = c"cputune.cpu_shares";
pub const VIR_DOMAIN_TUNABLE_CPU_EMULATORPIN: &CStr = c"cputune.emulatorpin";
pub const VIR_DOMAIN_TUNABLE_CPU_EMULATOR_PERIOD: &CStr = c"cputune.emulator_period";
pub const VIR_DOMAIN_TUNABLE_CPU_EMULATOR_QUOTA: &CStr = c"cputune.emulator_quota";
pub const VIR_DOMAIN_TUNABLE_CPU_GLOBAL_PERIOD: &CStr = c"cputune.global_period";
pub const VIR_DOMAIN_TUNABLE_CPU_GLOBAL_QUOTA: &CStr = c"cputune.global_quota";
pub const VIR_DOMAIN_TUNABLE_CPU_IOTHREADSPIN: &CStr = c"cputune.iothreadpin%u";
pub const VIR_DOMAIN_TUNABLE_CPU_IOTHREAD_PERIOD: &CStr = c"cputune.iothread_period";
pub const VIR_DOMAIN_TUNABLE_CPU_IOTHREAD_QUOTA: &CStr = c"cputune.iothread_quota";
pub const VIR_DOMAIN_TUNABLE_CPU_VCPUPIN: &CStr = c"cputune.vcpupin%u";
pub const VIR_DOMAIN_TUNABLE_CPU_VCPU_PERIOD: &CStr = c"cputune.vcpu_period";
pub const VIR_DOMAIN_TUNABLE_CPU_VCPU_QUOTA: &CStr = c"cputune.vcpu_quota";
pub const VIR_MIGRATE_PARAM_AUTO_CONVERGE_INCREMENT: &CStr = c"auto_converge.increment";
pub const VIR_MIGRATE_PARAM_AUTO_CONVERGE_INITIAL: &CStr = c"auto_converge.initial";
pub const VIR_MIGRATE_PARAM_BANDWIDTH: &CStr = c"bandwidth";
pub const VIR_MIGRATE_PARAM_BANDWIDTH_POSTCOPY: &CStr = c"bandwidth.postcopy";
pub const VIR_MIGRATE_PARAM_COMPRESSION: &CStr = c"compression";
pub const VIR_MIGRATE_PARAM_COMPRESSION_MT_DTHREADS: &CStr = c"compression.mt.dthreads";
pub const VIR_MIGRATE_PARAM_COMPRESSION_MT_LEVEL: &CStr = c"compression.mt.level";
pub const VIR_MIGRATE_PARAM_COMPRESSION_MT_THREADS: &CStr = c"compression.mt.threads";
pub const VIR_MIGRATE_PARAM_COMPRESSION_XBZRLE_CACHE: &CStr = c"compression.xbzrle.cache";
pub const VIR_MIGRATE_PARAM_DEST_NAME: &CStr = c"destination_name";
pub const VIR_MIGRATE_PARAM_DEST_XML: &CStr = c"destination_xml";
pub const VIR_MIGRATE_PARAM_DISKS_PORT: &CStr = c"disks_port";
pub const VIR_MIGRATE_PARAM_DISKS_URI: &CStr = c"disks_uri";
pub const VIR_MIGRATE_PARAM_GRAPHICS_URI: &CStr = c"graphics_uri";
pub const VIR_MIGRATE_PARAM_LISTEN_ADDRESS: &CStr = c"listen_address";
pub const VIR_MIGRATE_PARAM_MIGRATE_DISKS: &CStr = c"migrate_disks";
pub const VIR_MIGRATE_PARAM_PARALLEL_CONNECTIONS: &CStr = c"parallel.connections";
pub const VIR_MIGRATE_PARAM_PERSIST_XML: &CStr = c"persistent_xml";
pub const VIR_MIGRATE_PARAM_TLS_DESTINATION: &CStr = c"tls.destination";
pub const VIR_MIGRATE_PARAM_URI: &CStr = c"migrate_uri";
pub const VIR_NETWORK_PORT_BANDWIDTH_IN_AVERAGE: &CStr = c"inbound.average";
pub const VIR_NETWORK_PORT_BANDWIDTH_IN_BURST: &CStr = c"inbound.burst";
pub const VIR_NETWORK_PORT_BANDWIDTH_IN_FLOOR: &CStr = c"inbound.floor";
pub const VIR_NETWORK_PORT_BANDWIDTH_IN_PEAK: &CStr = c"inbound.peak";
pub const VIR_NETWORK_PORT_BANDWIDTH_OUT_AVERAGE: &CStr = c"outbound.average";
pub const VIR_NETWORK_PORT_BANDWIDTH_OUT_BURST: &CStr = c"outbound.burst";
pub const VIR_NETWORK_PORT_BANDWIDTH_OUT_PEAK: &CStr = c"outbound.peak";
pub const VIR_NODE_CPU_STATS_IDLE: &CStr = c"idle";
pub const VIR_NODE_CPU_STATS_INTR: &CStr = c"intr";
pub const VIR_NODE_CPU_STATS_IOWAIT: &CStr = c"iowait";
pub const VIR_NODE_CPU_STATS_KERNEL: &CStr = c"kernel";
pub const VIR_NODE_CPU_STATS_USER: &CStr = c"user";
pub const VIR_NODE_CPU_STATS_UTILIZATION: &CStr = c"utilization";
pub const VIR_NODE_MEMORY_SHARED_FULL_SCANS: &CStr = c"shm_full_scans";
pub const VIR_NODE_MEMORY_SHARED_MERGE_ACROSS_NODES: &CStr = c"shm_merge_across_nodes";
pub const VIR_NODE_MEMORY_SHARED_PAGES_SHARED: &CStr = c"shm_pages_shared";
pub const VIR_NODE_MEMORY_SHARED_PAGES_SHARING: &CStr = c"shm_pages_sharing";
pub const VIR_NODE_MEMORY_SHARED_PAGES_TO_SCAN: &CStr = c"shm_pages_to_scan";
pub const VIR_NODE_MEMORY_SHARED_PAGES_UNSHARED: &CStr = c"shm_pages_unshared";
pub const VIR_NODE_MEMORY_SHARED_PAGES_VOLATILE: &CStr = c"shm_pages_volatile";
pub const VIR_NODE_MEMORY_SHARED_SLEEP_MILLISECS: &CStr = c"shm_sleep_millisecs";
pub const VIR_NODE_MEMORY_STATS_BUFFERS: &CStr = c"buffers";
pub const VIR_NODE_MEMORY_STATS_CACHED: &CStr = c"cached";
pub const VIR_NODE_MEMORY_STATS_FREE: &CStr = c"free";
pub const VIR_NODE_MEMORY_STATS_TOTAL: &CStr = c"total";
pub const VIR_NODE_SEV_CBITPOS: &CStr = c"cbitpos";
pub const VIR_NODE_SEV_CERT_CHAIN: &CStr = c"cert-chain";
pub const VIR_NODE_SEV_CPU0_ID: &CStr = c"cpu0-id";
pub const VIR_NODE_SEV_MAX_ES_GUESTS: &CStr = c"max-es-guests";
pub const VIR_NODE_SEV_MAX_GUESTS: &CStr = c"max-guests";
pub const VIR_NODE_SEV_PDH: &CStr = c"pdh";
pub const VIR_NODE_SEV_REDUCED_PHYS_BITS: &CStr = c"reduced-phys-bits";
pub const VIR_PERF_PARAM_ALIGNMENT_FAULTS: &CStr = c"alignment_faults";
pub const VIR_PERF_PARAM_BRANCH_INSTRUCTIONS: &CStr = c"branch_instructions";
pub const VIR_PERF_PARAM_BRANCH_MISSES: &CStr = c"branch_misses";
pub const VIR_PERF_PARAM_BUS_CYCLES: &CStr = c"bus_cycles";
pub const VIR_PERF_PARAM_CACHE_MISSES: &CStr = c"cache_misses";
pub const VIR_PERF_PARAM_CACHE_REFERENCES: &CStr = c"cache_references";
pub const VIR_PERF_PARAM_CMT: &CStr = c"cmt";
pub const VIR_PERF_PARAM_CONTEXT_SWITCHES: &CStr = c"context_switches";
pub const VIR_PERF_PARAM_CPU_CLOCK: &CStr = c"cpu_clock";
pub const VIR_PERF_PARAM_CPU_CYCLES: &CStr = c"cpu_cycles";
pub const VIR_PERF_PARAM_CPU_MIGRATIONS: &CStr = c"cpu_migrations";
pub const VIR_PERF_PARAM_EMULATION_FAULTS: &CStr = c"emulation_faults";
pub const VIR_PERF_PARAM_INSTRUCTIONS: &CStr = c"instructions";
pub const VIR_PERF_PARAM_MBML: &CStr = c"mbml";
pub const VIR_PERF_PARAM_MBMT: &CStr = c"mbmt";
pub const VIR_PERF_PARAM_PAGE_FAULTS: &CStr = c"page_faults";
pub const VIR_PERF_PARAM_PAGE_FAULTS_MAJ: &CStr = c"page_faults_maj";
pub const VIR_PERF_PARAM_PAGE_FAULTS_MIN: &CStr = c"page_faults_min";
pub const VIR_PERF_PARAM_REF_CPU_CYCLES: &CStr = c"ref_cpu_cycles";
pub const VIR_PERF_PARAM_STALLED_CYCLES_BACKEND: &CStr = c"stalled_cycles_backend";
pub const VIR_PERF_PARAM_STALLED_CYCLES_FRONTEND: &CStr = c"stalled_cycles_frontend";
pub const VIR_PERF_PARAM_TASK_CLOCK: &CStr = c"task_clock";
pub const VIR_MIGRATE_PARAM_COMPRESSION_ZLIB_LEVEL: &CStr = c"compression.zlib.level";
pub const VIR_MIGRATE_PARAM_COMPRESSION_ZSTD_LEVEL: &CStr = c"compression.zstd.level";
pub const LIBVIR_VERSION_NUMBER: u32 = 9000000;
pub const VIR_DOMAIN_MEMORY_PARAM_UNLIMITED: u64 = 9007199254740991;
pub const VIR_DOMAIN_SEND_KEY_MAX_KEYS: u32 = 16;
pub const VIR_NODE_CPU_STATS_FIELD_LENGTH: u32 = 80;
pub const VIR_NODE_MEMORY_STATS_FIELD_LENGTH: u32 = 80;
pub const VIR_SECURITY_DOI_BUFLEN: u32 = 257;
pub const VIR_SECURITY_LABEL_BUFLEN: u32 = 4097;
pub const VIR_SECURITY_MODEL_BUFLEN: u32 = 257;
pub const VIR_TYPED_PARAM_FIELD_LENGTH: u32 = 80;
pub const VIR_UUID_BUFLEN: u32 = 16;
pub const VIR_UUID_STRING_BUFLEN: u32 = 37;
pub const VIR_DOMAIN_BLKIO_FIELD_LENGTH: u32 = 80;
pub const VIR_DOMAIN_BLOCK_STATS_FIELD_LENGTH: u32 = 80;
pub const VIR_DOMAIN_MEMORY_FIELD_LENGTH: u32 = 80;
pub const VIR_DOMAIN_SCHED_FIELD_LENGTH: u32 = 80;
pub const VIR_KEYCODE_SET_RFB: u32 = 9;
pub const VIR_ERR_NO_NETWORK_METADATA: virErrorNumber = 111;
pub const VIR_ERR_AGENT_COMMAND_TIMEOUT: virErrorNumber = 112;
pub const VIR_ERR_AGENT_COMMAND_FAILED: virErrorNumber = 113;
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct _virConnect {
    _opaque: [u8; 0],
}
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct _virStream {
    _opaque: [u8; 0],
}
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct _virDomain {
    _opaque: [u8; 0],
}
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct _virDomainCheckpoint {
    _opaque: [u8; 0],
}
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct _virDomainSnapshot {
    _opaque: [u8; 0],
}
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct _virInterface {
    _opaque: [u8; 0],
}
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct _virNetwork {
    _opaque: [u8; 0],
}
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct _virNetworkPort {
    _opaque: [u8; 0],
}
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct _virNodeDevice {
    _opaque: [u8; 0],
}
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct _virNWFilter {
    _opaque: [u8; 0],
}
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct _virNWFilterBinding {
    _opaque: [u8; 0],
}
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct _virSecret {
    _opaque: [u8; 0],
}
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct _virStoragePool {
    _opaque: [u8; 0],
}
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct _virStorageVol {
    _opaque: [u8; 0],
}
pub type virFreeCallback = Option<unsafe extern "C" fn(opaque: *mut c_void)>;
pub type virConnectCloseReason = c_uint;
pub const VIR_CONNECT_CLOSE_REASON_ERROR: virConnectCloseReason = 0;
pub const VIR_CONNECT_CLOSE_REASON_EOF: virConnectCloseReason = 1;
pub const VIR_CONNECT_CLOSE_REASON_KEEPALIVE: virConnectCloseReason = 2;
pub const VIR_CONNECT_CLOSE_REASON_CLIENT: virConnectCloseReason = 3;
pub type virTypedParameterType = c_uint;
pub const VIR_TYPED_PARAM_INT: virTypedParameterType = 1;
pub const VIR_TYPED_PARAM_UINT: virTypedParameterType = 2;
pub const VIR_TYPED_PARAM_LLONG: virTypedParameterType = 3;
pub const VIR_TYPED_PARAM_ULLONG: virTypedParameterType = 4;
pub const VIR_TYPED_PARAM_DOUBLE: virTypedParameterType = 5;
pub const VIR_TYPED_PARAM_BOOLEAN: virTypedParameterType = 6;
pub const VIR_TYPED_PARAM_STRING: virTypedParameterType = 7;
pub type virTypedParameterFlags = c_uint;
pub const VIR_TYPED_PARAM_STRING_OKAY: virTypedParameterFlags = 4;
pub type virTypedParameter = _virTypedParameter;
#[repr(C)]
#[derive(Clone, Copy)]
pub union _virTypedParameter__bindgen_ty_1 {
    pub i: c_int,
    pub ui: c_uint,
    pub l: c_longlong,
    pub ul: c_ulonglong,
    pub d: f64,
    pub b: c_char,
    pub s: *mut c_char,
}
#[repr(C)]
#[derive(Clone, Copy)]
pub struct _virTypedParameter {
    pub field: [c_char; 80],
    pub type_: c_int,
    pub value: _virTypedParameter__bindgen_ty_1,
}
pub type virTypedParameterPtr = *mut virTypedParameter;
pub type virConnect = _virConnect;
pub type virConnectPtr = *mut virConnect;
pub type virNodeSuspendTarget = c_uint;
pub const VIR_NODE_SUSPEND_TARGET_MEM: virNodeSuspendTarget = 0;
pub const VIR_NODE_SUSPEND_TARGET_DISK: virNodeSuspendTarget = 1;
pub const VIR_NODE_SUSPEND_TARGET_HYBRID: virNodeSuspendTarget = 2;
pub type virStream = _virStream;
pub type virStreamPtr = *mut virStream;
pub type virSecurityLabel = _virSecurityLabel;
#[repr(C)]
#[derive(Clone, Copy)]
pub struct _virSecurityLabel {
    pub label: [c_char; 4097],
    pub enforcing: c_int,
}
pub type virSecurityLabelPtr = *mut virSecurityLabel;
pub type virSecurityModel = _virSecurityModel;
#[repr(C)]
#[derive(Clone, Copy)]
pub struct _virSecurityModel {
    pub model: [c_char; 257],
    pub doi: [c_char; 257],
}
pub type virSecurityModelPtr = *mut virSecurityModel;
pub type virNodeInfo = _virNodeInfo;
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct _virNodeInfo {
    pub model: [c_char; 32],
    pub memory: c_ulong,
    pub cpus: c_uint,
    pub mhz: c_uint,
    pub nodes: c_uint,
    pub sockets: c_uint,
    pub cores: c_uint,
    pub threads: c_uint,
}
pub type virNodeGetCPUStatsAllCPUs = c_int;
pub const VIR_NODE_CPU_STATS_ALL_CPUS: virNodeGetCPUStatsAllCPUs = -1;
pub type virNodeCPUStats = _virNodeCPUStats;
#[repr(C)]
#[derive(Clone, Copy)]
pub struct _virNodeCPUStats {
    pub field: [c_char; 80],
    pub value: c_ulonglong,
}
pub type virNodeGetMemoryStatsAllCells = c_int;
pub const VIR_NODE_MEMORY_STATS_ALL_CELLS: virNodeGetMemoryStatsAllCells = -1;
pub type virNodeMemoryStats = _virNodeMemoryStats;
#[repr(C)]
#[derive(Clone, Copy)]
pub struct _virNodeMemoryStats {
    pub field: [c_char; 80],
    pub value: c_ulonglong,
}
pub type virNodeInfoPtr = *mut virNodeInfo;
pub type virNodeCPUStatsPtr = *mut virNodeCPUStats;
pub type virNodeMemoryStatsPtr = *mut virNodeMemoryStats;
pub type virConnectFlags = c_uint;
pub const VIR_CONNECT_RO: virConnectFlags = 1;
pub const VIR_CONNECT_NO_ALIASES: virConnectFlags = 2;
pub type virConnectCredentialType = c_uint;
pub const VIR_CRED_USERNAME: virConnectCredentialType = 1;
pub const VIR_CRED_AUTHNAME: virConnectCredentialType = 2;
pub const VIR_CRED_LANGUAGE: virConnectCredentialType = 3;
pub const VIR_CRED_CNONCE: virConnectCredentialType = 4;
pub const VIR_CRED_PASSPHRASE: virConnectCredentialType = 5;
pub const VIR_CRED_ECHOPROMPT: virConnectCredentialType = 6;
pub const VIR_CRED_NOECHOPROMPT: virConnectCredentialType = 7;
pub const VIR_CRED_REALM: virConnectCredentialType = 8;
pub const VIR_CRED_EXTERNAL: virConnectCredentialType = 9;
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct _virConnectCredential {
    pub type_: c_int,
    pub prompt: *const c_char,
    pub challenge: *const c_char,
    pub defresult: *const c_char,
    pub result: *mut c_char,
    pub resultlen: c_uint,
}
pub type virConnectCredential = _virConnectCredential;
pub type virConnectCredentialPtr = *mut virConnectCredential;
pub type virConnectAuthCallbackPtr = Option<
    unsafe extern "C" fn(
        cred: virConnectCredentialPtr,
        ncred: c_uint,
        cbdata: *mut c_void,
    ) -> c_int,
>;
#[repr(C)]
#[derive(Clone, Copy)]
pub struct _virConnectAuth {
    pub credtype: *mut c_int,
    pub ncredtype: c_uint,
    pub cb: virConnectAuthCallbackPtr,
    pub cbdata: *mut c_void,
}
pub type virConnectAuth = _virConnectAuth;
pub type virConnectAuthPtr = *mut virConnectAuth;
pub type virConnectCloseFunc =
    Option<unsafe extern "C" fn(conn: virConnectPtr, reason: c_int, opaque: *mut c_void)>;
pub type virCPUCompareResult = c_int;
pub const VIR_CPU_COMPARE_ERROR: virCPUCompareResult = -1;
pub const VIR_CPU_COMPARE_INCOMPATIBLE: virCPUCompareResult = 0;
pub const VIR_CPU_COMPARE_IDENTICAL: virCPUCompareResult = 1;
pub const VIR_CPU_COMPARE_SUPERSET: virCPUCompareResult = 2;
pub type virConnectCompareCPUFlags = c_uint;
pub const VIR_CONNECT_COMPARE_CPU_FAIL_INCOMPATIBLE: virConnectCompareCPUFlags = 1;
pub const VIR_CONNECT_COMPARE_CPU_VALIDATE_XML: virConnectCompareCPUFlags = 2;
pub type virConnectBaselineCPUFlags = c_uint;
pub const VIR_CONNECT_BASELINE_CPU_EXPAND_FEATURES: virConnectBaselineCPUFlags = 1;
pub const VIR_CONNECT_BASELINE_CPU_MIGRATABLE: virConnectBaselineCPUFlags = 2;
pub type virNodeAllocPagesFlags = c_uint;
pub const VIR_NODE_ALLOC_PAGES_ADD: virNodeAllocPagesFlags = 0;
pub const VIR_NODE_ALLOC_PAGES_SET: virNodeAllocPagesFlags = 1;
pub type virDomain = _virDomain;
pub type virDomainPtr = *mut virDomain;
pub type virDomainState = c_uint;
pub const VIR_DOMAIN_NOSTATE: virDomainState = 0;
pub const VIR_DOMAIN_RUNNING: virDomainState = 1;
pub const VIR_DOMAIN_BLOCKED: virDomainState = 2;
pub const VIR_DOMAIN_PAUSED: virDomainState = 3;
pub const VIR_DOMAIN_SHUTDOWN: virDomainState = 4;
pub const VIR_DOMAIN_SHUTOFF: virDomainState = 5;
pub const VIR_DOMAIN_CRASHED: virDomainState = 6;
pub const VIR_DOMAIN_PMSUSPENDED: virDomainState = 7;
pub type virDomainNostateReason = c_uint;
pub const VIR_DOMAIN_NOSTATE_UNKNOWN: virDomainNostateReason = 0;
pub type virDomainRunningReason = c_uint;
pub const VIR_DOMAIN_RUNNING_UNKNOWN: virDomainRunningReason = 0;
pub const VIR_DOMAIN_RUNNING_BOOTED: virDomainRunningReason = 1;
pub const VIR_DOMAIN_RUNNING_MIGRATED: virDomainRunningReason = 2;
pub const VIR_DOMAIN_RUNNING_RESTORED: virDomainRunningReason = 3;
pub const VIR_DOMAIN_RUNNING_FROM_SNAPSHOT: virDomainRunningReason = 4;
pub const VIR_DOMAIN_RUNNING_UNPAUSED: virDomainRunningReason = 5;
pub const VIR_DOMAIN_RUNNING_MIGRATION_CANCELED: virDomainRunningReason = 6;
pub const VIR_DOMAIN_RUNNING_SAVE_CANCELED: virDomainRunningReason = 7;
pub const VIR_DOMAIN_RUNNING_WAKEUP: virDomainRunningReason = 8;
pub const VIR_DOMAIN_RUNNING_CRASHED: virDomainRunningReason = 9;
pub const VIR_DOMAIN_RUNNING_POSTCOPY: virDomainRunningReason = 10;
pub const VIR_DOMAIN_RUNNING_POSTCOPY_FAILED: virDomainRunningReason = 11;
pub type virDomainBlockedReason = c_uint;
pub const VIR_DOMAIN_BLOCKED_UNKNOWN: virDomainBlockedReason = 0;
pub type virDomainPausedReason = c_uint;
pub const VIR_DOMAIN_PAUSED_UNKNOWN: virDomainPausedReason = 0;
pub const VIR_DOMAIN_PAUSED_USER: virDomainPausedReason = 1;
pub const VIR_DOMAIN_PAUSED_MIGRATION: virDomainPausedReason = 2;
pub const VIR_DOMAIN_PAUSED_SAVE: virDomainPausedReason = 3;
pub const VIR_DOMAIN_PAUSED_DUMP: virDomainPausedReason = 4;
pub const VIR_DOMAIN_PAUSED_IOERROR: virDomainPausedReason = 5;
pub const VIR_DOMAIN_PAUSED_WATCHDOG: virDomainPausedReason = 6;
pub const VIR_DOMAIN_PAUSED_FROM_SNAPSHOT: virDomainPausedReason = 7;
pub const VIR_DOMAIN_PAUSED_SHUTTING_DOWN: virDomainPausedReason = 8;
pub const VIR_DOMAIN_PAUSED_SNAPSHOT: virDomainPausedReason = 9;
pub const VIR_DOMAIN_PAUSED_CRASHED: virDomainPausedReason = 10;
pub const VIR_DOMAIN_PAUSED_STARTING_UP: virDomainPausedReason = 11;
pub const VIR_DOMAIN_PAUSED_POSTCOPY: virDomainPausedReason = 12;
pub const VIR_DOMAIN_PAUSED_POSTCOPY_FAILED: virDomainPausedReason = 13;
pub type virDomainShutdownReason = c_uint;
pub const VIR_DOMAIN_SHUTDOWN_UNKNOWN: virDomainShutdownReason = 0;
pub const VIR_DOMAIN_SHUTDOWN_USER: virDomainShutdownReason = 1;
pub type virDomainShutoffReason = c_uint;
pub const VIR_DOMAIN_SHUTOFF_UNKNOWN: virDomainShutoffReason = 0;
pub const VIR_DOMAIN_SHUTOFF_SHUTDOWN: virDomainShutoffReason = 1;
pub const VIR_DOMAIN_SHUTOFF_DESTROYED: virDomainShutoffReason = 2;
pub const VIR_DOMAIN_SHUTOFF_CRASHED: virDomainShutoffReason = 3;
pub const VIR_DOMAIN_SHUTOFF_MIGRATED: virDomainShutoffReason = 4;
pub const VIR_DOMAIN_SHUTOFF_SAVED: virDomainShutoffReason = 5;
pub const VIR_DOMAIN_SHUTOFF_FAILED: virDomainShutoffReason = 6;
pub const VIR_DOMAIN_SHUTOFF_FROM_SNAPSHOT: virDomainShutoffReason = 7;
pub const VIR_DOMAIN_SHUTOFF_DAEMON: virDomainShutoffReason = 8;
pub type virDomainCrashedReason = c_uint;
pub const VIR_DOMAIN_CRASHED_UNKNOWN: virDomainCrashedReason = 0;
pub const VIR_DOMAIN_CRASHED_PANICKED: virDomainCrashedReason = 1;
pub type virDomainPMSuspendedReason = c_uint;
pub const VIR_DOMAIN_PMSUSPENDED_UNKNOWN: virDomainPMSuspendedReason = 0;
pub type virDomainPMSuspendedDiskReason = c_uint;
pub const VIR_DOMAIN_PMSUSPENDED_DISK_UNKNOWN: virDomainPMSuspendedDiskReason = 0;
pub type virDomainControlState = c_uint;
pub const VIR_DOMAIN_CONTROL_OK: virDomainControlState = 0;
pub const VIR_DOMAIN_CONTROL_JOB: virDomainControlState = 1;
pub const VIR_DOMAIN_CONTROL_OCCUPIED: virDomainControlState = 2;
pub const VIR_DOMAIN_CONTROL_ERROR: virDomainControlState = 3;
pub type virDomainControlErrorReason = c_uint;
pub const VIR_DOMAIN_CONTROL_ERROR_REASON_NONE: virDomainControlErrorReason = 0;
pub const VIR_DOMAIN_CONTROL_ERROR_REASON_UNKNOWN: virDomainControlErrorReason = 1;
pub const VIR_DOMAIN_CONTROL_ERROR_REASON_MONITOR: virDomainControlErrorReason = 2;
pub const VIR_DOMAIN_CONTROL_ERROR_REASON_INTERNAL: virDomainControlErrorReason = 3;
pub type virDomainControlInfo = _virDomainControlInfo;
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct _virDomainControlInfo {
    pub state: c_uint,
    pub details: c_uint,
    pub stateTime: c_ulonglong,
}
pub type virDomainControlInfoPtr = *mut virDomainControlInfo;
pub type virDomainModificationImpact = c_uint;
pub const VIR_DOMAIN_AFFECT_CURRENT: virDomainModificationImpact = 0;
pub const VIR_DOMAIN_AFFECT_LIVE: virDomainModificationImpact = 1;
pub const VIR_DOMAIN_AFFECT_CONFIG: virDomainModificationImpact = 2;
pub type virDomainInfo = _virDomainInfo;
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct _virDomainInfo {
    pub state: c_uchar,
    pub maxMem: c_ulong,
    pub memory: c_ulong,
    pub nrVirtCpu: c_ushort,
    pub cpuTime: c_ulonglong,
}
pub type virDomainInfoPtr = *mut virDomainInfo;
pub type virDomainCreateFlags = c_uint;
pub const VIR_DOMAIN_NONE: virDomainCreateFlags = 0;
pub const VIR_DOMAIN_START_PAUSED: virDomainCreateFlags = 1;
pub const VIR_DOMAIN_START_AUTODESTROY: virDomainCreateFlags = 2;
pub const VIR_DOMAIN_START_BYPASS_CACHE: virDomainCreateFlags = 4;
pub const VIR_DOMAIN_START_FORCE_BOOT: virDomainCreateFlags = 8;
pub const VIR_DOMAIN_START_VALIDATE: virDomainCreateFlags = 16;
pub const VIR_DOMAIN_START_RESET_NVRAM: virDomainCreateFlags = 32;
pub type virDomainBlockStatsStruct = _virDomainBlockStats;
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct _virDomainBlockStats {
    pub rd_req: c_longlong,
    pub rd_bytes: c_longlong,
    pub wr_req: c_longlong,
    pub wr_bytes: c_longlong,
    pub errs: c_longlong,
}
pub type virDomainBlockStatsPtr = *mut virDomainBlockStatsStruct;
pub type virDomainInterfaceStatsStruct = _virDomainInterfaceStats;
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct _virDomainInterfaceStats {
    pub rx_bytes: c_longlong,
    pub rx_packets: c_longlong,
    pub rx_errs: c_longlong,
    pub rx_drop: c_longlong,
    pub tx_bytes: c_longlong,
    pub tx_packets: c_longlong,
    pub tx_errs: c_longlong,
    pub tx_drop: c_longlong,
}
pub type virDomainInterfaceStatsPtr = *mut virDomainInterfaceStatsStruct;
pub type virDomainMemoryStatTags = c_uint;
pub const VIR_DOMAIN_MEMORY_STAT_SWAP_IN: virDomainMemoryStatTags = 0;
pub const VIR_DOMAIN_MEMORY_STAT_SWAP_OUT: virDomainMemoryStatTags = 1;
pub const VIR_DOMAIN_MEMORY_STAT_MAJOR_FAULT: virDomainMemoryStatTags = 2;
pub const VIR_DOMAIN_MEMORY_STAT_MINOR_FAULT: virDomainMemoryStatTags = 3;
pub const VIR_DOMAIN_MEMORY_STAT_UNUSED: virDomainMemoryStatTags = 4;
pub const VIR_DOMAIN_MEMORY_STAT_AVAILABLE: virDomainMemoryStatTags = 5;
pub const VIR_DOMAIN_MEMORY_STAT_ACTUAL_BALLOON: virDomainMemoryStatTags = 6;
pub const VIR_DOMAIN_MEMORY_STAT_RSS: virDomainMemoryStatTags = 7;
pub const VIR_DOMAIN_MEMORY_STAT_USABLE: virDomainMemoryStatTags = 8;
pub const VIR_DOMAIN_MEMORY_STAT_LAST_UPDATE: virDomainMemoryStatTags = 9;
pub const VIR_DOMAIN_MEMORY_STAT_DISK_CACHES: virDomainMemoryStatTags = 10;
pub const VIR_DOMAIN_MEMORY_STAT_HUGETLB_PGALLOC: virDomainMemoryStatTags = 11;
pub const VIR_DOMAIN_MEMORY_STAT_HUGETLB_PGFAIL: virDomainMemoryStatTags = 12;
pub const VIR_DOMAIN_MEMORY_STAT_NR: virDomainMemoryStatTags = 13;
pub type virDomainMemoryStatStruct = _virDomainMemoryStat;
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct _virDomainMemoryStat {
    pub tag: c_int,
    pub val: c_ulonglong,
}
pub type virDomainMemoryStatPtr = *mut virDomainMemoryStatStruct;
pub type virDomainCoreDumpFlags = c_uint;
pub const VIR_DUMP_CRASH: virDomainCoreDumpFlags = 1;
pub const VIR_DUMP_LIVE: virDomainCoreDumpFlags = 2;
pub const VIR_DUMP_BYPASS_CACHE: virDomainCoreDumpFlags = 4;
pub const VIR_DUMP_RESET: virDomainCoreDumpFlags = 8;
pub const VIR_DUMP_MEMORY_ONLY: virDomainCoreDumpFlags = 16;
pub type virDomainCoreDumpFormat = c_uint;
pub const VIR_DOMAIN_CORE_DUMP_FORMAT_RAW: virDomainCoreDumpFormat = 0;
pub const VIR_DOMAIN_CORE_DUMP_FORMAT_KDUMP_ZLIB: virDomainCoreDumpFormat = 1;
pub const VIR_DOMAIN_CORE_DUMP_FORMAT_KDUMP_LZO: virDomainCoreDumpFormat = 2;
pub const VIR_DOMAIN_CORE_DUMP_FORMAT_KDUMP_SNAPPY: virDomainCoreDumpFormat = 3;
pub const VIR_DOMAIN_CORE_DUMP_FORMAT_WIN_DMP: virDomainCoreDumpFormat = 4;
pub type virDomainMigrateFlags = c_uint;
pub const VIR_MIGRATE_LIVE: virDomainMigrateFlags = 1;
pub const VIR_MIGRATE_PEER2PEER: virDomainMigrateFlags = 2;
pub const VIR_MIGRATE_TUNNELLED: virDomainMigrateFlags = 4;
pub const VIR_MIGRATE_PERSIST_DEST: virDomainMigrateFlags = 8;
pub const VIR_MIGRATE_UNDEFINE_SOURCE: virDomainMigrateFlags = 16;
pub const VIR_MIGRATE_PAUSED: virDomainMigrateFlags = 32;
pub const VIR_MIGRATE_NON_SHARED_DISK: virDomainMigrateFlags = 64;
pub const VIR_MIGRATE_NON_SHARED_INC: virDomainMigrateFlags = 128;
pub const VIR_MIGRATE_CHANGE_PROTECTION: virDomainMigrateFlags = 256;
pub const VIR_MIGRATE_UNSAFE: virDomainMigrateFlags = 512;
pub const VIR_MIGRATE_OFFLINE: virDomainMigrateFlags = 1024;
pub const VIR_MIGRATE_COMPRESSED: virDomainMigrateFlags = 2048;
pub const VIR_MIGRATE_ABORT_ON_ERROR: virDomainMigrateFlags = 4096;
pub const VIR_MIGRATE_AUTO_CONVERGE: virDomainMigrateFlags = 8192;
pub const VIR_MIGRATE_RDMA_PIN_ALL: virDomainMigrateFlags = 16384;
pub const VIR_MIGRATE_POSTCOPY: virDomainMigrateFlags = 32768;
pub const VIR_MIGRATE_TLS: virDomainMigrateFlags = 65536;
pub const VIR_MIGRATE_PARALLEL: virDomainMigrateFlags = 131072;
pub const VIR_MIGRATE_NON_SHARED_SYNCHRONOUS_WRITES: virDomainMigrateFlags = 262144;
pub const VIR_MIGRATE_POSTCOPY_RESUME: virDomainMigrateFlags = 524288;
pub const VIR_MIGRATE_ZEROCOPY: virDomainMigrateFlags = 1048576;
pub type virDomainMigrateMaxSpeedFlags = c_uint;
pub const VIR_DOMAIN_MIGRATE_MAX_SPEED_POSTCOPY: virDomainMigrateMaxSpeedFlags = 1;
pub type virDomainShutdownFlagValues = c_uint;
pub const VIR_DOMAIN_SHUTDOWN_DEFAULT: virDomainShutdownFlagValues = 0;
pub const VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN: virDomainShutdownFlagValues = 1;
pub const VIR_DOMAIN_SHUTDOWN_GUEST_AGENT: virDomainShutdownFlagValues = 2;
pub const VIR_DOMAIN_SHUTDOWN_INITCTL: virDomainShutdownFlagValues = 4;
pub const VIR_DOMAIN_SHUTDOWN_SIGNAL: virDomainShutdownFlagValues = 8;
pub const VIR_DOMAIN_SHUTDOWN_PARAVIRT: virDomainShutdownFlagValues = 16;
pub type virDomainRebootFlagValues = c_uint;
pub const VIR_DOMAIN_REBOOT_DEFAULT: virDomainRebootFlagValues = 0;
pub const VIR_DOMAIN_REBOOT_ACPI_POWER_BTN: virDomainRebootFlagValues = 1;
pub const VIR_DOMAIN_REBOOT_GUEST_AGENT: virDomainRebootFlagValues = 2;
pub const VIR_DOMAIN_REBOOT_INITCTL: virDomainRebootFlagValues = 4;
pub const VIR_DOMAIN_REBOOT_SIGNAL: virDomainRebootFlagValues = 8;
pub const VIR_DOMAIN_REBOOT_PARAVIRT: virDomainRebootFlagValues = 16;
pub type virDomainDestroyFlagsValues = c_uint;
pub const VIR_DOMAIN_DESTROY_DEFAULT: virDomainDestroyFlagsValues = 0;
pub const VIR_DOMAIN_DESTROY_GRACEFUL: virDomainDestroyFlagsValues = 1;
pub const VIR_DOMAIN_DESTROY_REMOVE_LOGS: virDomainDestroyFlagsValues = 2;
pub type virDomainSaveRestoreFlags = c_uint;
pub const VIR_DOMAIN_SAVE_BYPASS_CACHE: virDomainSaveRestoreFlags = 1;
pub const VIR_DOMAIN_SAVE_RUNNING: virDomainSaveRestoreFlags = 2;
pub const VIR_DOMAIN_SAVE_PAUSED: virDomainSaveRestoreFlags = 4;
pub const VIR_DOMAIN_SAVE_RESET_NVRAM: virDomainSaveRestoreFlags = 8;
pub type virDomainMemoryModFlags = c_uint;
pub const VIR_DOMAIN_MEM_CURRENT: virDomainMemoryModFlags = 0;
pub const VIR_DOMAIN_MEM_LIVE: virDomainMemoryModFlags = 1;
pub const VIR_DOMAIN_MEM_CONFIG: virDomainMemoryModFlags = 2;
pub const VIR_DOMAIN_MEM_MAXIMUM: virDomainMemoryModFlags = 4;
pub type virDomainNumatuneMemMode = c_uint;
pub const VIR_DOMAIN_NUMATUNE_MEM_STRICT: virDomainNumatuneMemMode = 0;
pub const VIR_DOMAIN_NUMATUNE_MEM_PREFERRED: virDomainNumatuneMemMode = 1;
pub const VIR_DOMAIN_NUMATUNE_MEM_INTERLEAVE: virDomainNumatuneMemMode = 2;
pub const VIR_DOMAIN_NUMATUNE_MEM_RESTRICTIVE: virDomainNumatuneMemMode = 3;
pub type virDomainGetHostnameFlags = c_uint;
pub const VIR_DOMAIN_GET_HOSTNAME_LEASE: virDomainGetHostnameFlags = 1;
pub const VIR_DOMAIN_GET_HOSTNAME_AGENT: virDomainGetHostnameFlags = 2;
pub type virDomainMetadataType = c_uint;
pub const VIR_DOMAIN_METADATA_DESCRIPTION: virDomainMetadataType = 0;
pub const VIR_DOMAIN_METADATA_TITLE: virDomainMetadataType = 1;
pub const VIR_DOMAIN_METADATA_ELEMENT: virDomainMetadataType = 2;
pub type virDomainXMLFlags = c_uint;
pub const VIR_DOMAIN_XML_SECURE: virDomainXMLFlags = 1;
pub const VIR_DOMAIN_XML_INACTIVE: virDomainXMLFlags = 2;
pub const VIR_DOMAIN_XML_UPDATE_CPU: virDomainXMLFlags = 4;
pub const VIR_DOMAIN_XML_MIGRATABLE: virDomainXMLFlags = 8;
pub type virDomainSaveImageXMLFlags = c_uint;
pub const VIR_DOMAIN_SAVE_IMAGE_XML_SECURE: virDomainSaveImageXMLFlags = 1;
pub type virDomainBlockResizeFlags = c_uint;
pub const VIR_DOMAIN_BLOCK_RESIZE_BYTES: virDomainBlockResizeFlags = 1;
pub type virDomainBlockInfo = _virDomainBlockInfo;
pub type virDomainBlockInfoPtr = *mut virDomainBlockInfo;
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct _virDomainBlockInfo {
    pub capacity: c_ulonglong,
    pub allocation: c_ulonglong,
    pub physical: c_ulonglong,
}
pub type virDomainMemoryFlags = c_uint;
pub const VIR_MEMORY_VIRTUAL: virDomainMemoryFlags = 1;
pub const VIR_MEMORY_PHYSICAL: virDomainMemoryFlags = 2;
pub type virDomainDefineFlags = c_uint;
pub const VIR_DOMAIN_DEFINE_VALIDATE: virDomainDefineFlags = 1;
pub type virDomainUndefineFlagsValues = c_uint;
pub const VIR_DOMAIN_UNDEFINE_MANAGED_SAVE: virDomainUndefineFlagsValues = 1;
pub const VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA: virDomainUndefineFlagsValues = 2;
pub const VIR_DOMAIN_UNDEFINE_NVRAM: virDomainUndefineFlagsValues = 4;
pub const VIR_DOMAIN_UNDEFINE_KEEP_NVRAM: virDomainUndefineFlagsValues = 8;
pub const VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA: virDomainUndefineFlagsValues = 16;
pub const VIR_DOMAIN_UNDEFINE_TPM: virDomainUndefineFlagsValues = 32;
pub const VIR_DOMAIN_UNDEFINE_KEEP_TPM: virDomainUndefineFlagsValues = 64;
pub type virConnectListAllDomainsFlags = c_uint;
pub const VIR_CONNECT_LIST_DOMAINS_ACTIVE: virConnectListAllDomainsFlags = 1;
pub const VIR_CONNECT_LIST_DOMAINS_INACTIVE: virConnectListAllDomainsFlags = 2;
pub const VIR_CONNECT_LIST_DOMAINS_PERSISTENT: virConnectListAllDomainsFlags = 4;
pub const VIR_CONNECT_LIST_DOMAINS_TRANSIENT: virConnectListAllDomainsFlags = 8;
pub const VIR_CONNECT_LIST_DOMAINS_RUNNING: virConnectListAllDomainsFlags = 16;
pub const VIR_CONNECT_LIST_DOMAINS_PAUSED: virConnectListAllDomainsFlags = 32;
pub const VIR_CONNECT_LIST_DOMAINS_SHUTOFF: virConnectListAllDomainsFlags = 64;
pub const VIR_CONNECT_LIST_DOMAINS_OTHER: virConnectListAllDomainsFlags = 128;
pub const VIR_CONNECT_LIST_DOMAINS_MANAGEDSAVE: virConnectListAllDomainsFlags = 256;
pub const VIR_CONNECT_LIST_DOMAINS_NO_MANAGEDSAVE: virConnectListAllDomainsFlags = 512;
pub const VIR_CONNECT_LIST_DOMAINS_AUTOSTART: virConnectListAllDomainsFlags = 1024;
pub const VIR_CONNECT_LIST_DOMAINS_NO_AUTOSTART: virConnectListAllDomainsFlags = 2048;
pub const VIR_CONNECT_LIST_DOMAINS_HAS_SNAPSHOT: virConnectListAllDomainsFlags = 4096;
pub const VIR_CONNECT_LIST_DOMAINS_NO_SNAPSHOT: virConnectListAllDomainsFlags = 8192;
pub const VIR_CONNECT_LIST_DOMAINS_HAS_CHECKPOINT: virConnectListAllDomainsFlags = 16384;
pub const VIR_CONNECT_LIST_DOMAINS_NO_CHECKPOINT: virConnectListAllDomainsFlags = 32768;
pub type virVcpuState = c_uint;
pub const VIR_VCPU_OFFLINE: virVcpuState = 0;
pub const VIR_VCPU_RUNNING: virVcpuState = 1;
pub const VIR_VCPU_BLOCKED: virVcpuState = 2;
pub type virVcpuHostCpuState = c_int;
pub const VIR_VCPU_INFO_CPU_OFFLINE: virVcpuHostCpuState = -1;
pub const VIR_VCPU_INFO_CPU_UNAVAILABLE: virVcpuHostCpuState = -2;
pub type virVcpuInfo = _virVcpuInfo;
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct _virVcpuInfo {
    pub number: c_uint,
    pub state: c_int,
    pub cpuTime: c_ulonglong,
    pub cpu: c_int,
}
pub type virVcpuInfoPtr = *mut virVcpuInfo;
pub type virDomainVcpuFlags = c_uint;
pub const VIR_DOMAIN_VCPU_CURRENT: virDomainVcpuFlags = 0;
pub const VIR_DOMAIN_VCPU_LIVE: virDomainVcpuFlags = 1;
pub const VIR_DOMAIN_VCPU_CONFIG: virDomainVcpuFlags = 2;
pub const VIR_DOMAIN_VCPU_MAXIMUM: virDomainVcpuFlags = 4;
pub const VIR_DOMAIN_VCPU_GUEST: virDomainVcpuFlags = 8;
pub const VIR_DOMAIN_VCPU_HOTPLUGGABLE: virDomainVcpuFlags = 16;
pub type virDomainIOThreadInfo = _virDomainIOThreadInfo;
pub type virDomainIOThreadInfoPtr = *mut virDomainIOThreadInfo;
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct _virDomainIOThreadInfo {
    pub iothread_id: c_uint,
    pub cpumap: *mut c_uchar,
    pub cpumaplen: c_int,
}
pub type virDomainDeviceModifyFlags = c_uint;
pub const VIR_DOMAIN_DEVICE_MODIFY_CURRENT: virDomainDeviceModifyFlags = 0;
pub const VIR_DOMAIN_DEVICE_MODIFY_LIVE: virDomainDeviceModifyFlags = 1;
pub const VIR_DOMAIN_DEVICE_MODIFY_CONFIG: virDomainDeviceModifyFlags = 2;
pub const VIR_DOMAIN_DEVICE_MODIFY_FORCE: virDomainDeviceModifyFlags = 4;
pub type virDomainStatsRecord = _virDomainStatsRecord;
pub type virDomainStatsRecordPtr = *mut virDomainStatsRecord;
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct _virDomainStatsRecord {
    pub dom: virDomainPtr,
    pub params: virTypedParameterPtr,
    pub nparams: c_int,
}
pub type virDomainStatsTypes = c_uint;
pub const VIR_DOMAIN_STATS_STATE: virDomainStatsTypes = 1;
pub const VIR_DOMAIN_STATS_CPU_TOTAL: virDomainStatsTypes = 2;
pub const VIR_DOMAIN_STATS_BALLOON: virDomainStatsTypes = 4;
pub const VIR_DOMAIN_STATS_VCPU: virDomainStatsTypes = 8;
pub const VIR_DOMAIN_STATS_INTERFACE: virDomainStatsTypes = 16;
pub const VIR_DOMAIN_STATS_BLOCK: virDomainStatsTypes = 32;
pub const VIR_DOMAIN_STATS_PERF: virDomainStatsTypes = 64;
pub const VIR_DOMAIN_STATS_IOTHREAD: virDomainStatsTypes = 128;
pub const VIR_DOMAIN_STATS_MEMORY: virDomainStatsTypes = 256;
pub const VIR_DOMAIN_STATS_DIRTYRATE: virDomainStatsTypes = 512;
pub const VIR_DOMAIN_STATS_VM: virDomainStatsTypes = 1024;
pub type virConnectGetAllDomainStatsFlags = c_uint;
pub const VIR_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE: virConnectGetAllDomainStatsFlags = 1;
pub const VIR_CONNECT_GET_ALL_DOMAINS_STATS_INACTIVE: virConnectGetAllDomainStatsFlags = 2;
pub const VIR_CONNECT_GET_ALL_DOMAINS_STATS_PERSISTENT: virConnectGetAllDomainStatsFlags = 4;
pub const VIR_CONNECT_GET_ALL_DOMAINS_STATS_TRANSIENT: virConnectGetAllDomainStatsFlags = 8;
pub const VIR_CONNECT_GET_ALL_DOMAINS_STATS_RUNNING: virConnectGetAllDomainStatsFlags = 16;
pub const VIR_CONNECT_GET_ALL_DOMAINS_STATS_PAUSED: virConnectGetAllDomainStatsFlags = 32;
pub const VIR_CONNECT_GET_ALL_DOMAINS_STATS_SHUTOFF: virConnectGetAllDomainStatsFlags = 64;
pub const VIR_CONNECT_GET_ALL_DOMAINS_STATS_OTHER: virConnectGetAllDomainStatsFlags = 128;
pub const VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT: virConnectGetAllDomainStatsFlags = 536870912;
pub const VIR_CONNECT_GET_ALL_DOMAINS_STATS_BACKING: virConnectGetAllDomainStatsFlags = 1073741824;
pub const VIR_CONNECT_GET_ALL_DOMAINS_STATS_ENFORCE_STATS: virConnectGetAllDomainStatsFlags =
    2147483648;
pub type virDomainBlockJobType = c_uint;
pub const VIR_DOMAIN_BLOCK_JOB_TYPE_UNKNOWN: virDomainBlockJobType = 0;
pub const VIR_DOMAIN_BLOCK_JOB_TYPE_PULL: virDomainBlockJobType = 1;
pub const VIR_DOMAIN_BLOCK_JOB_TYPE_COPY: virDomainBlockJobType = 2;
pub const VIR_DOMAIN_BLOCK_JOB_TYPE_COMMIT: virDomainBlockJobType = 3;
pub const VIR_DOMAIN_BLOCK_JOB_TYPE_ACTIVE_COMMIT: virDomainBlockJobType = 4;
pub const VIR_DOMAIN_BLOCK_JOB_TYPE_BACKUP: virDomainBlockJobType = 5;
pub type virDomainBlockJobAbortFlags = c_uint;
pub const VIR_DOMAIN_BLOCK_JOB_ABORT_ASYNC: virDomainBlockJobAbortFlags = 1;
pub const VIR_DOMAIN_BLOCK_JOB_ABORT_PIVOT: virDomainBlockJobAbortFlags = 2;
pub type virDomainBlockJobInfoFlags = c_uint;
pub const VIR_DOMAIN_BLOCK_JOB_INFO_BANDWIDTH_BYTES: virDomainBlockJobInfoFlags = 1;
pub type virDomainBlockJobCursor = c_ulonglong;
pub type virDomainBlockJobInfo = _virDomainBlockJobInfo;
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct _virDomainBlockJobInfo {
    pub type_: c_int,
    pub bandwidth: c_ulong,
    pub cur: virDomainBlockJobCursor,
    pub end: virDomainBlockJobCursor,
}
pub type virDomainBlockJobInfoPtr = *mut virDomainBlockJobInfo;
pub type virDomainBlockJobSetSpeedFlags = c_uint;
pub const VIR_DOMAIN_BLOCK_JOB_SPEED_BANDWIDTH_BYTES: virDomainBlockJobSetSpeedFlags = 1;
pub type virDomainBlockPullFlags = c_uint;
pub const VIR_DOMAIN_BLOCK_PULL_BANDWIDTH_BYTES: virDomainBlockPullFlags = 64;
pub type virDomainBlockRebaseFlags = c_uint;
pub const VIR_DOMAIN_BLOCK_REBASE_SHALLOW: virDomainBlockRebaseFlags = 1;
pub const VIR_DOMAIN_BLOCK_REBASE_REUSE_EXT: virDomainBlockRebaseFlags = 2;
pub const VIR_DOMAIN_BLOCK_REBASE_COPY_RAW: virDomainBlockRebaseFlags = 4;
pub const VIR_DOMAIN_BLOCK_REBASE_COPY: virDomainBlockRebaseFlags = 8;
pub const VIR_DOMAIN_BLOCK_REBASE_RELATIVE: virDomainBlockRebaseFlags = 16;
pub const VIR_DOMAIN_BLOCK_REBASE_COPY_DEV: virDomainBlockRebaseFlags = 32;
pub const VIR_DOMAIN_BLOCK_REBASE_BANDWIDTH_BYTES: virDomainBlockRebaseFlags = 64;
pub type virDomainBlockCopyFlags = c_uint;
pub const VIR_DOMAIN_BLOCK_COPY_SHALLOW: virDomainBlockCopyFlags = 1;
pub const VIR_DOMAIN_BLOCK_COPY_REUSE_EXT: virDomainBlockCopyFlags = 2;
pub const VIR_DOMAIN_BLOCK_COPY_TRANSIENT_JOB: virDomainBlockCopyFlags = 4;
pub const VIR_DOMAIN_BLOCK_COPY_SYNCHRONOUS_WRITES: virDomainBlockCopyFlags = 8;
pub type virDomainBlockCommitFlags = c_uint;
pub const VIR_DOMAIN_BLOCK_COMMIT_SHALLOW: virDomainBlockCommitFlags = 1;
pub const VIR_DOMAIN_BLOCK_COMMIT_DELETE: virDomainBlockCommitFlags = 2;
pub const VIR_DOMAIN_BLOCK_COMMIT_ACTIVE: virDomainBlockCommitFlags = 4;
pub const VIR_DOMAIN_BLOCK_COMMIT_RELATIVE: virDomainBlockCommitFlags = 8;
pub const VIR_DOMAIN_BLOCK_COMMIT_BANDWIDTH_BYTES: virDomainBlockCommitFlags = 16;
pub type virDomainDiskErrorCode = c_uint;
pub const VIR_DOMAIN_DISK_ERROR_NONE: virDomainDiskErrorCode = 0;
pub const VIR_DOMAIN_DISK_ERROR_UNSPEC: virDomainDiskErrorCode = 1;
pub const VIR_DOMAIN_DISK_ERROR_NO_SPACE: virDomainDiskErrorCode = 2;
pub type virDomainDiskError = _virDomainDiskError;
pub type virDomainDiskErrorPtr = *mut virDomainDiskError;
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct _virDomainDiskError {
    pub disk: *mut c_char,
    pub error: c_int,
}
pub type virKeycodeSet = c_uint;
pub const VIR_KEYCODE_SET_LINUX: virKeycodeSet = 0;
pub const VIR_KEYCODE_SET_XT: virKeycodeSet = 1;
pub const VIR_KEYCODE_SET_ATSET1: virKeycodeSet = 2;
pub const VIR_KEYCODE_SET_ATSET2: virKeycodeSet = 3;
pub const VIR_KEYCODE_SET_ATSET3: virKeycodeSet = 4;
pub const VIR_KEYCODE_SET_OSX: virKeycodeSet = 5;
pub const VIR_KEYCODE_SET_XT_KBD: virKeycodeSet = 6;
pub const VIR_KEYCODE_SET_USB: virKeycodeSet = 7;
pub const VIR_KEYCODE_SET_WIN32: virKeycodeSet = 8;
pub const VIR_KEYCODE_SET_QNUM: virKeycodeSet = 9;
pub type virDomainProcessSignal = c_uint;
pub const VIR_DOMAIN_PROCESS_SIGNAL_NOP: virDomainProcessSignal = 0;
pub const VIR_DOMAIN_PROCESS_SIGNAL_HUP: virDomainProcessSignal = 1;
pub const VIR_DOMAIN_PROCESS_SIGNAL_INT: virDomainProcessSignal = 2;
pub const VIR_DOMAIN_PROCESS_SIGNAL_QUIT: virDomainProcessSignal = 3;
pub const VIR_DOMAIN_PROCESS_SIGNAL_ILL: virDomainProcessSignal = 4;
pub const VIR_DOMAIN_PROCESS_SIGNAL_TRAP: virDomainProcessSignal = 5;
pub const VIR_DOMAIN_PROCESS_SIGNAL_ABRT: virDomainProcessSignal = 6;
pub const VIR_DOMAIN_PROCESS_SIGNAL_BUS: virDomainProcessSignal = 7;
pub const VIR_DOMAIN_PROCESS_SIGNAL_FPE: virDomainProcessSignal = 8;
pub const VIR_DOMAIN_PROCESS_SIGNAL_KILL: virDomainProcessSignal = 9;
pub const VIR_DOMAIN_PROCESS_SIGNAL_USR1: virDomainProcessSignal = 10;
pub const VIR_DOMAIN_PROCESS_SIGNAL_SEGV: virDomainProcessSignal = 11;
pub const VIR_DOMAIN_PROCESS_SIGNAL_USR2: virDomainProcessSignal = 12;
pub const VIR_DOMAIN_PROCESS_SIGNAL_PIPE: virDomainProcessSignal = 13;
pub const VIR_DOMAIN_PROCESS_SIGNAL_ALRM: virDomainProcessSignal = 14;
pub const VIR_DOMAIN_PROCESS_SIGNAL_TERM: virDomainProcessSignal = 15;
pub const VIR_DOMAIN_PROCESS_SIGNAL_STKFLT: virDomainProcessSignal = 16;
pub const VIR_DOMAIN_PROCESS_SIGNAL_CHLD: virDomainProcessSignal = 17;
pub const VIR_DOMAIN_PROCESS_SIGNAL_CONT: virDomainProcessSignal = 18;
pub const VIR_DOMAIN_PROCESS_SIGNAL_STOP: virDomainProcessSignal = 19;
pub const VIR_DOMAIN_PROCESS_SIGNAL_TSTP: virDomainProcessSignal = 20;
pub const VIR_DOMAIN_PROCESS_SIGNAL_TTIN: virDomainProcessSignal = 21;
pub const VIR_DOMAIN_PROCESS_SIGNAL_TTOU: virDomainProcessSignal = 22;
pub const VIR_DOMAIN_PROCESS_SIGNAL_URG: virDomainProcessSignal = 23;
pub const VIR_DOMAIN_PROCESS_SIGNAL_XCPU: virDomainProcessSignal = 24;
pub const VIR_DOMAIN_PROCESS_SIGNAL_XFSZ: virDomainProcessSignal = 25;
pub const VIR_DOMAIN_PROCESS_SIGNAL_VTALRM: virDomainProcessSignal = 26;
pub const VIR_DOMAIN_PROCESS_SIGNAL_PROF: virDomainProcessSignal = 27;
pub const VIR_DOMAIN_PROCESS_SIGNAL_WINCH: virDomainProcessSignal = 28;
pub const VIR_DOMAIN_PROCESS_SIGNAL_POLL: virDomainProcessSignal = 29;
pub const VIR_DOMAIN_PROCESS_SIGNAL_PWR: virDomainProcessSignal = 30;
pub const VIR_DOMAIN_PROCESS_SIGNAL_SYS: virDomainProcessSignal = 31;
pub const VIR_DOMAIN_PROCESS_SIGNAL_RT0: virDomainProcessSignal = 32;
pub const VIR_DOMAIN_PROCESS_SIGNAL_RT1: virDomainProcessSignal = 33;
pub const VIR_DOMAIN_PROCESS_SIGNAL_RT2: virDomainProcessSignal = 34;
pub const VIR_DOMAIN_PROCESS_SIGNAL_RT3: virDomainProcessSignal = 35;
pub const VIR_DOMAIN_PROCESS_SIGNAL_RT4: virDomainProcessSignal = 36;
pub const VIR_DOMAIN_PROCESS_SIGNAL_RT5: virDomainProcessSignal = 37;
pub const VIR_DOMAIN_PROCESS_SIGNAL_RT6: virDomainProcessSignal = 38;
pub const VIR_DOMAIN_PROCESS_SIGNAL_RT7: virDomainProcessSignal = 39;
pub const VIR_DOMAIN_PROCESS_SIGNAL_RT8: virDomainProcessSignal = 40;
pub const VIR_DOMAIN_PROCESS_SIGNAL_RT9: virDomainProcessSignal = 41;
pub const VIR_DOMAIN_PROCESS_SIGNAL_RT10: virDomainProcessSignal = 42;
pub const VIR_DOMAIN_PROCESS_SIGNAL_RT11: virDomainProcessSignal = 43;
pub const VIR_DOMAIN_PROCESS_SIGNAL_RT12: virDomainProcessSignal = 44;
pub const VIR_DOMAIN_PROCESS_SIGNAL_RT13: virDomainProcessSignal = 45;
pub const VIR_DOMAIN_PROCESS_SIGNAL_RT14: virDomainProcessSignal = 46;
pub const VIR_DOMAIN_PROCESS_SIGNAL_RT15: virDomainProcessSignal = 47;
pub const VIR_DOMAIN_PROCESS_SIGNAL_RT16: virDomainProcessSignal = 48;
pub const VIR_DOMAIN_PROCESS_SIGNAL_RT17: virDomainProcessSignal = 49;
pub const VIR_DOMAIN_PROCESS_SIGNAL_RT18: virDomainProcessSignal = 50;
pub const VIR_DOMAIN_PROCESS_SIGNAL_RT19: virDomainProcessSignal = 51;
pub const VIR_DOMAIN_PROCESS_SIGNAL_RT20: virDomainProcessSignal = 52;
pub const VIR_DOMAIN_PROCESS_SIGNAL_RT21: virDomainProcessSignal = 53;
pub const VIR_DOMAIN_PROCESS_SIGNAL_RT22: virDomainProcessSignal = 54;
pub const VIR_DOMAIN_PROCESS_SIGNAL_RT23: virDomainProcessSignal = 55;
pub const VIR_DOMAIN_PROCESS_SIGNAL_RT24: virDomainProcessSignal = 56;
pub const VIR_DOMAIN_PROCESS_SIGNAL_RT25: virDomainProcessSignal = 57;
pub const VIR_DOMAIN_PROCESS_SIGNAL_RT26: virDomainProcessSignal = 58;
pub const VIR_DOMAIN_PROCESS_SIGNAL_RT27: virDomainProcessSignal = 59;
pub const VIR_DOMAIN_PROCESS_SIGNAL_RT28: virDomainProcessSignal = 60;
pub const VIR_DOMAIN_PROCESS_SIGNAL_RT29: virDomainProcessSignal = 61;
pub const VIR_DOMAIN_PROCESS_SIGNAL_RT30: virDomainProcessSignal = 62;
pub const VIR_DOMAIN_PROCESS_SIGNAL_RT31: virDomainProcessSignal = 63;
pub const VIR_DOMAIN_PROCESS_SIGNAL_RT32: virDomainProcessSignal = 64;
pub type virDomainEventType = c_uint;
pub const VIR_DOMAIN_EVENT_DEFINED: virDomainEventType = 0;
pub const VIR_DOMAIN_EVENT_UNDEFINED: virDomainEventType = 1;
pub const VIR_DOMAIN_EVENT_STARTED: virDomainEventType = 2;
pub const VIR_DOMAIN_EVENT_SUSPENDED: virDomainEventType = 3;
pub const VIR_DOMAIN_EVENT_RESUMED: virDomainEventType = 4;
pub const VIR_DOMAIN_EVENT_STOPPED: virDomainEventType = 5;
pub const VIR_DOMAIN_EVENT_SHUTDOWN: virDomainEventType = 6;
pub const VIR_DOMAIN_EVENT_PMSUSPENDED: virDomainEventType = 7;
pub const VIR_DOMAIN_EVENT_CRASHED: virDomainEventType = 8;
pub type virDomainEventDefinedDetailType = c_uint;
pub const VIR_DOMAIN_EVENT_DEFINED_ADDED: virDomainEventDefinedDetailType = 0;
pub const VIR_DOMAIN_EVENT_DEFINED_UPDATED: virDomainEventDefinedDetailType = 1;
pub const VIR_DOMAIN_EVENT_DEFINED_RENAMED: virDomainEventDefinedDetailType = 2;
pub const VIR_DOMAIN_EVENT_DEFINED_FROM_SNAPSHOT: virDomainEventDefinedDetailType = 3;
pub type virDomainEventUndefinedDetailType = c_uint;
pub const VIR_DOMAIN_EVENT_UNDEFINED_REMOVED: virDomainEventUndefinedDetailType = 0;
pub const VIR_DOMAIN_EVENT_UNDEFINED_RENAMED: virDomainEventUndefinedDetailType = 1;
pub type virDomainEventStartedDetailType = c_uint;
pub const VIR_DOMAIN_EVENT_STARTED_BOOTED: virDomainEventStartedDetailType = 0;
pub const VIR_DOMAIN_EVENT_STARTED_MIGRATED: virDomainEventStartedDetailType = 1;
pub const VIR_DOMAIN_EVENT_STARTED_RESTORED: virDomainEventStartedDetailType = 2;
pub const VIR_DOMAIN_EVENT_STARTED_FROM_SNAPSHOT: virDomainEventStartedDetailType = 3;
pub const VIR_DOMAIN_EVENT_STARTED_WAKEUP: virDomainEventStartedDetailType = 4;
pub type virDomainEventSuspendedDetailType = c_uint;
pub const VIR_DOMAIN_EVENT_SUSPENDED_PAUSED: virDomainEventSuspendedDetailType = 0;
pub const VIR_DOMAIN_EVENT_SUSPENDED_MIGRATED: virDomainEventSuspendedDetailType = 1;
pub const VIR_DOMAIN_EVENT_SUSPENDED_IOERROR: virDomainEventSuspendedDetailType = 2;
pub const VIR_DOMAIN_EVENT_SUSPENDED_WATCHDOG: virDomainEventSuspendedDetailType = 3;
pub const VIR_DOMAIN_EVENT_SUSPENDED_RESTORED: virDomainEventSuspendedDetailType = 4;
pub const VIR_DOMAIN_EVENT_SUSPENDED_FROM_SNAPSHOT: virDomainEventSuspendedDetailType = 5;
pub const VIR_DOMAIN_EVENT_SUSPENDED_API_ERROR: virDomainEventSuspendedDetailType = 6;
pub const VIR_DOMAIN_EVENT_SUSPENDED_POSTCOPY: virDomainEventSuspendedDetailType = 7;
pub const VIR_DOMAIN_EVENT_SUSPENDED_POSTCOPY_FAILED: virDomainEventSuspendedDetailType = 8;
pub type virDomainEventResumedDetailType = c_uint;
pub const VIR_DOMAIN_EVENT_RESUMED_UNPAUSED: virDomainEventResumedDetailType = 0;
pub const VIR_DOMAIN_EVENT_RESUMED_MIGRATED: virDomainEventResumedDetailType = 1;
pub const VIR_DOMAIN_EVENT_RESUMED_FROM_SNAPSHOT: virDomainEventResumedDetailType = 2;
pub const VIR_DOMAIN_EVENT_RESUMED_POSTCOPY: virDomainEventResumedDetailType = 3;
pub const VIR_DOMAIN_EVENT_RESUMED_POSTCOPY_FAILED: virDomainEventResumedDetailType = 4;
pub type virDomainEventStoppedDetailType = c_uint;
pub const VIR_DOMAIN_EVENT_STOPPED_SHUTDOWN: virDomainEventStoppedDetailType = 0;
pub const VIR_DOMAIN_EVENT_STOPPED_DESTROYED: virDomainEventStoppedDetailType = 1;
pub const VIR_DOMAIN_EVENT_STOPPED_CRASHED: virDomainEventStoppedDetailType = 2;
pub const VIR_DOMAIN_EVENT_STOPPED_MIGRATED: virDomainEventStoppedDetailType = 3;
pub const VIR_DOMAIN_EVENT_STOPPED_SAVED: virDomainEventStoppedDetailType = 4;
pub const VIR_DOMAIN_EVENT_STOPPED_FAILED: virDomainEventStoppedDetailType = 5;
pub const VIR_DOMAIN_EVENT_STOPPED_FROM_SNAPSHOT: virDomainEventStoppedDetailType = 6;
pub type virDomainEventShutdownDetailType = c_uint;
pub const VIR_DOMAIN_EVENT_SHUTDOWN_FINISHED: virDomainEventShutdownDetailType = 0;
pub const VIR_DOMAIN_EVENT_SHUTDOWN_GUEST: virDomainEventShutdownDetailType = 1;
pub const VIR_DOMAIN_EVENT_SHUTDOWN_HOST: virDomainEventShutdownDetailType = 2;
pub type virDomainEventPMSuspendedDetailType = c_uint;
pub const VIR_DOMAIN_EVENT_PMSUSPENDED_MEMORY: virDomainEventPMSuspendedDetailType = 0;
pub const VIR_DOMAIN_EVENT_PMSUSPENDED_DISK: virDomainEventPMSuspendedDetailType = 1;
pub type virDomainEventCrashedDetailType = c_uint;
pub const VIR_DOMAIN_EVENT_CRASHED_PANICKED: virDomainEventCrashedDetailType = 0;
pub const VIR_DOMAIN_EVENT_CRASHED_CRASHLOADED: virDomainEventCrashedDetailType = 1;
pub type virDomainMemoryFailureRecipientType = c_uint;
pub const VIR_DOMAIN_EVENT_MEMORY_FAILURE_RECIPIENT_HYPERVISOR:
    virDomainMemoryFailureRecipientType = 0;
pub const VIR_DOMAIN_EVENT_MEMORY_FAILURE_RECIPIENT_GUEST: virDomainMemoryFailureRecipientType = 1;
pub type virDomainMemoryFailureActionType = c_uint;
pub const VIR_DOMAIN_EVENT_MEMORY_FAILURE_ACTION_IGNORE: virDomainMemoryFailureActionType = 0;
pub const VIR_DOMAIN_EVENT_MEMORY_FAILURE_ACTION_INJECT: virDomainMemoryFailureActionType = 1;
pub const VIR_DOMAIN_EVENT_MEMORY_FAILURE_ACTION_FATAL: virDomainMemoryFailureActionType = 2;
pub const VIR_DOMAIN_EVENT_MEMORY_FAILURE_ACTION_RESET: virDomainMemoryFailureActionType = 3;
pub type virDomainMemoryFailureFlags = c_uint;
pub const VIR_DOMAIN_MEMORY_FAILURE_ACTION_REQUIRED: virDomainMemoryFailureFlags = 1;
pub const VIR_DOMAIN_MEMORY_FAILURE_RECURSIVE: virDomainMemoryFailureFlags = 2;
pub type virConnectDomainEventCallback = Option<
    unsafe extern "C" fn(
        conn: virConnectPtr,
        dom: virDomainPtr,
        event: c_int,
        detail: c_int,
        opaque: *mut c_void,
    ) -> c_int,
>;
pub type virDomainJobType = c_uint;
pub const VIR_DOMAIN_JOB_NONE: virDomainJobType = 0;
pub const VIR_DOMAIN_JOB_BOUNDED: virDomainJobType = 1;
pub const VIR_DOMAIN_JOB_UNBOUNDED: virDomainJobType = 2;
pub const VIR_DOMAIN_JOB_COMPLETED: virDomainJobType = 3;
pub const VIR_DOMAIN_JOB_FAILED: virDomainJobType = 4;
pub const VIR_DOMAIN_JOB_CANCELLED: virDomainJobType = 5;
pub type virDomainJobInfo = _virDomainJobInfo;
pub type virDomainJobInfoPtr = *mut virDomainJobInfo;
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct _virDomainJobInfo {
    pub type_: c_int,
    pub timeElapsed: c_ulonglong,
    pub timeRemaining: c_ulonglong,
    pub dataTotal: c_ulonglong,
    pub dataProcessed: c_ulonglong,
    pub dataRemaining: c_ulonglong,
    pub memTotal: c_ulonglong,
    pub memProcessed: c_ulonglong,
    pub memRemaining: c_ulonglong,
    pub fileTotal: c_ulonglong,
    pub fileProcessed: c_ulonglong,
    pub fileRemaining: c_ulonglong,
}
pub type virDomainGetJobStatsFlags = c_uint;
pub const VIR_DOMAIN_JOB_STATS_COMPLETED: virDomainGetJobStatsFlags = 1;
pub const VIR_DOMAIN_JOB_STATS_KEEP_COMPLETED: virDomainGetJobStatsFlags = 2;
pub type virDomainAbortJobFlagsValues = c_uint;
pub const VIR_DOMAIN_ABORT_JOB_POSTCOPY: virDomainAbortJobFlagsValues = 1;
pub type virDomainJobOperation = c_uint;
pub const VIR_DOMAIN_JOB_OPERATION_UNKNOWN: virDomainJobOperation = 0;
pub const VIR_DOMAIN_JOB_OPERATION_START: virDomainJobOperation = 1;
pub const VIR_DOMAIN_JOB_OPERATION_SAVE: virDomainJobOperation = 2;
pub const VIR_DOMAIN_JOB_OPERATION_RESTORE: virDomainJobOperation = 3;
pub const VIR_DOMAIN_JOB_OPERATION_MIGRATION_IN: virDomainJobOperation = 4;
pub const VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT: virDomainJobOperation = 5;
pub const VIR_DOMAIN_JOB_OPERATION_SNAPSHOT: virDomainJobOperation = 6;
pub const VIR_DOMAIN_JOB_OPERATION_SNAPSHOT_REVERT: virDomainJobOperation = 7;
pub const VIR_DOMAIN_JOB_OPERATION_DUMP: virDomainJobOperation = 8;
pub const VIR_DOMAIN_JOB_OPERATION_BACKUP: virDomainJobOperation = 9;
pub const VIR_DOMAIN_JOB_OPERATION_SNAPSHOT_DELETE: virDomainJobOperation = 10;
pub type virConnectDomainEventGenericCallback =
    Option<unsafe extern "C" fn(conn: virConnectPtr, dom: virDomainPtr, opaque: *mut c_void)>;
pub type virConnectDomainEventRTCChangeCallback = Option<
    unsafe extern "C" fn(
        conn: virConnectPtr,
        dom: virDomainPtr,
        utcoffset: c_longlong,
        opaque: *mut c_void,
    ),
>;
pub type virDomainEventWatchdogAction = c_uint;
pub const VIR_DOMAIN_EVENT_WATCHDOG_NONE: virDomainEventWatchdogAction = 0;
pub const VIR_DOMAIN_EVENT_WATCHDOG_PAUSE: virDomainEventWatchdogAction = 1;
pub const VIR_DOMAIN_EVENT_WATCHDOG_RESET: virDomainEventWatchdogAction = 2;
pub const VIR_DOMAIN_EVENT_WATCHDOG_POWEROFF: virDomainEventWatchdogAction = 3;
pub const VIR_DOMAIN_EVENT_WATCHDOG_SHUTDOWN: virDomainEventWatchdogAction = 4;
pub const VIR_DOMAIN_EVENT_WATCHDOG_DEBUG: virDomainEventWatchdogAction = 5;
pub const VIR_DOMAIN_EVENT_WATCHDOG_INJECTNMI: virDomainEventWatchdogAction = 6;
pub type virConnectDomainEventWatchdogCallback = Option<
    unsafe extern "C" fn(
        conn: virConnectPtr,
        dom: virDomainPtr,
        action: c_int,
        opaque: *mut c_void,
    ),
>;
pub type virDomainEventIOErrorAction = c_uint;
pub const VIR_DOMAIN_EVENT_IO_ERROR_NONE: virDomainEventIOErrorAction = 0;
pub const VIR_DOMAIN_EVENT_IO_ERROR_PAUSE: virDomainEventIOErrorAction = 1;
pub const VIR_DOMAIN_EVENT_IO_ERROR_REPORT: virDomainEventIOErrorAction = 2;
pub type virConnectDomainEventIOErrorCallback = Option<
    unsafe extern "C" fn(
        conn: virConnectPtr,
        dom: virDomainPtr,
        srcPath: *const c_char,
        devAlias: *const c_char,
        action: c_int,
        opaque: *mut c_void,
    ),
>;
pub type virConnectDomainEventIOErrorReasonCallback = Option<
    unsafe extern "C" fn(
        conn: virConnectPtr,
        dom: virDomainPtr,
        srcPath: *const c_char,
        devAlias: *const c_char,
        action: c_int,
        reason: *const c_char,
        opaque: *mut c_void,
    ),
>;
pub type virDomainEventGraphicsPhase = c_uint;
pub const VIR_DOMAIN_EVENT_GRAPHICS_CONNECT: virDomainEventGraphicsPhase = 0;
pub const VIR_DOMAIN_EVENT_GRAPHICS_INITIALIZE: virDomainEventGraphicsPhase = 1;
pub const VIR_DOMAIN_EVENT_GRAPHICS_DISCONNECT: virDomainEventGraphicsPhase = 2;
pub type virDomainEventGraphicsAddressType = c_uint;
pub const VIR_DOMAIN_EVENT_GRAPHICS_ADDRESS_IPV4: virDomainEventGraphicsAddressType = 0;
pub const VIR_DOMAIN_EVENT_GRAPHICS_ADDRESS_IPV6: virDomainEventGraphicsAddressType = 1;
pub const VIR_DOMAIN_EVENT_GRAPHICS_ADDRESS_UNIX: virDomainEventGraphicsAddressType = 2;
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct _virDomainEventGraphicsAddress {
    pub family: c_int,
    pub node: *mut c_char,
    pub service: *mut c_char,
}
pub type virDomainEventGraphicsAddress = _virDomainEventGraphicsAddress;
pub type virDomainEventGraphicsAddressPtr = *mut virDomainEventGraphicsAddress;
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct _virDomainEventGraphicsSubjectIdentity {
    pub type_: *mut c_char,
    pub name: *mut c_char,
}
pub type virDomainEventGraphicsSubjectIdentity = _virDomainEventGraphicsSubjectIdentity;
pub type virDomainEventGraphicsSubjectIdentityPtr = *mut virDomainEventGraphicsSubjectIdentity;
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct _virDomainEventGraphicsSubject {
    pub nidentity: c_int,
    pub identities: virDomainEventGraphicsSubjectIdentityPtr,
}
pub type virDomainEventGraphicsSubject = _virDomainEventGraphicsSubject;
pub type virDomainEventGraphicsSubjectPtr = *mut virDomainEventGraphicsSubject;
pub type virConnectDomainEventGraphicsCallback = Option<
    unsafe extern "C" fn(
        conn: virConnectPtr,
        dom: virDomainPtr,
        phase: c_int,
        local: *const virDomainEventGraphicsAddress,
        remote: *const virDomainEventGraphicsAddress,
        authScheme: *const c_char,
        subject: *const virDomainEventGraphicsSubject,
        opaque: *mut c_void,
    ),
>;
pub type virConnectDomainEventBlockJobStatus = c_uint;
pub const VIR_DOMAIN_BLOCK_JOB_COMPLETED: virConnectDomainEventBlockJobStatus = 0;
pub const VIR_DOMAIN_BLOCK_JOB_FAILED: virConnectDomainEventBlockJobStatus = 1;
pub const VIR_DOMAIN_BLOCK_JOB_CANCELED: virConnectDomainEventBlockJobStatus = 2;
pub const VIR_DOMAIN_BLOCK_JOB_READY: virConnectDomainEventBlockJobStatus = 3;
pub type virConnectDomainEventBlockJobCallback = Option<
    unsafe extern "C" fn(
        conn: virConnectPtr,
        dom: virDomainPtr,
        disk: *const c_char,
        type_: c_int,
        status: c_int,
        opaque: *mut c_void,
    ),
>;
pub type virConnectDomainEventDiskChangeReason = c_uint;
pub const VIR_DOMAIN_EVENT_DISK_CHANGE_MISSING_ON_START: virConnectDomainEventDiskChangeReason = 0;
pub const VIR_DOMAIN_EVENT_DISK_DROP_MISSING_ON_START: virConnectDomainEventDiskChangeReason = 1;
pub type virConnectDomainEventDiskChangeCallback = Option<
    unsafe extern "C" fn(
        conn: virConnectPtr,
        dom: virDomainPtr,
        oldSrcPath: *const c_char,
        newSrcPath: *const c_char,
        devAlias: *const c_char,
        reason: c_int,
        opaque: *mut c_void,
    ),
>;
pub type virDomainEventTrayChangeReason = c_uint;
pub const VIR_DOMAIN_EVENT_TRAY_CHANGE_OPEN: virDomainEventTrayChangeReason = 0;
pub const VIR_DOMAIN_EVENT_TRAY_CHANGE_CLOSE: virDomainEventTrayChangeReason = 1;
pub type virConnectDomainEventTrayChangeCallback = Option<
    unsafe extern "C" fn(
        conn: virConnectPtr,
        dom: virDomainPtr,
        devAlias: *const c_char,
        reason: c_int,
        opaque: *mut c_void,
    ),
>;
pub type virConnectDomainEventPMWakeupCallback = Option<
    unsafe extern "C" fn(
        conn: virConnectPtr,
        dom: virDomainPtr,
        reason: c_int,
        opaque: *mut c_void,
    ),
>;
pub type virConnectDomainEventPMSuspendCallback = Option<
    unsafe extern "C" fn(
        conn: virConnectPtr,
        dom: virDomainPtr,
        reason: c_int,
        opaque: *mut c_void,
    ),
>;
pub type virConnectDomainEventBalloonChangeCallback = Option<
    unsafe extern "C" fn(
        conn: virConnectPtr,
        dom: virDomainPtr,
        actual: c_ulonglong,
        opaque: *mut c_void,
    ),
>;
pub type virConnectDomainEventPMSuspendDiskCallback = Option<
    unsafe extern "C" fn(
        conn: virConnectPtr,
        dom: virDomainPtr,
        reason: c_int,
        opaque: *mut c_void,
    ),
>;
pub type virConnectDomainEventDeviceRemovedCallback = Option<
    unsafe extern "C" fn(
        conn: virConnectPtr,
        dom: virDomainPtr,
        devAlias: *const c_char,
        opaque: *mut c_void,
    ),
>;
pub type virConnectDomainEventDeviceAddedCallback = Option<
    unsafe extern "C" fn(
        conn: virConnectPtr,
        dom: virDomainPtr,
        devAlias: *const c_char,
        opaque: *mut c_void,
    ),
>;
pub type virConnectDomainEventDeviceRemovalFailedCallback = Option<
    unsafe extern "C" fn(
        conn: virConnectPtr,
        dom: virDomainPtr,
        devAlias: *const c_char,
        opaque: *mut c_void,
    ),
>;
pub type virConnectDomainEventMetadataChangeCallback = Option<
    unsafe extern "C" fn(
        conn: virConnectPtr,
        dom: virDomainPtr,
        type_: c_int,
        nsuri: *const c_char,
        opaque: *mut c_void,
    ),
>;
pub type virConnectDomainEventMigrationIterationCallback = Option<
    unsafe extern "C" fn(
        conn: virConnectPtr,
        dom: virDomainPtr,
        iteration: c_int,
        opaque: *mut c_void,
    ),
>;
pub type virConnectDomainEventJobCompletedCallback = Option<
    unsafe extern "C" fn(
        conn: virConnectPtr,
        dom: virDomainPtr,
        params: virTypedParameterPtr,
        nparams: c_int,
        opaque: *mut c_void,
    ),
>;
pub type virConnectDomainEventTunableCallback = Option<
    unsafe extern "C" fn(
        conn: virConnectPtr,
        dom: virDomainPtr,
        params: virTypedParameterPtr,
        nparams: c_int,
        opaque: *mut c_void,
    ),
>;
pub type virConnectDomainEventAgentLifecycleState = c_uint;
pub const VIR_CONNECT_DOMAIN_EVENT_AGENT_LIFECYCLE_STATE_CONNECTED:
    virConnectDomainEventAgentLifecycleState = 1;
pub const VIR_CONNECT_DOMAIN_EVENT_AGENT_LIFECYCLE_STATE_DISCONNECTED:
    virConnectDomainEventAgentLifecycleState = 2;
pub type virConnectDomainEventAgentLifecycleReason = c_uint;
pub const VIR_CONNECT_DOMAIN_EVENT_AGENT_LIFECYCLE_REASON_UNKNOWN:
    virConnectDomainEventAgentLifecycleReason = 0;
pub const VIR_CONNECT_DOMAIN_EVENT_AGENT_LIFECYCLE_REASON_DOMAIN_STARTED:
    virConnectDomainEventAgentLifecycleReason = 1;
pub const VIR_CONNECT_DOMAIN_EVENT_AGENT_LIFECYCLE_REASON_CHANNEL:
    virConnectDomainEventAgentLifecycleReason = 2;
pub type virConnectDomainEventAgentLifecycleCallback = Option<
    unsafe extern "C" fn(
        conn: virConnectPtr,
        dom: virDomainPtr,
        state: c_int,
        reason: c_int,
        opaque: *mut c_void,
    ),
>;
pub type virConnectDomainEventBlockThresholdCallback = Option<
    unsafe extern "C" fn(
        conn: virConnectPtr,
        dom: virDomainPtr,
        dev: *const c_char,
        path: *const c_char,
        threshold: c_ulonglong,
        excess: c_ulonglong,
        opaque: *mut c_void,
    ),
>;
pub type virConnectDomainEventMemoryFailureCallback = Option<
    unsafe extern "C" fn(
        conn: virConnectPtr,
        dom: virDomainPtr,
        recipient: c_int,
        action: c_int,
        flags: c_uint,
        opaque: *mut c_void,
    ),
>;
pub type virConnectDomainEventMemoryDeviceSizeChangeCallback = Option<
    unsafe extern "C" fn(
        conn: virConnectPtr,
        dom: virDomainPtr,
        alias: *const c_char,
        size: c_ulonglong,
        opaque: *mut c_void,
    ),
>;
pub type virDomainEventID = c_uint;
pub const VIR_DOMAIN_EVENT_ID_LIFECYCLE: virDomainEventID = 0;
pub const VIR_DOMAIN_EVENT_ID_REBOOT: virDomainEventID = 1;
pub const VIR_DOMAIN_EVENT_ID_RTC_CHANGE: virDomainEventID = 2;
pub const VIR_DOMAIN_EVENT_ID_WATCHDOG: virDomainEventID = 3;
pub const VIR_DOMAIN_EVENT_ID_IO_ERROR: virDomainEventID = 4;
pub const VIR_DOMAIN_EVENT_ID_GRAPHICS: virDomainEventID = 5;
pub const VIR_DOMAIN_EVENT_ID_IO_ERROR_REASON: virDomainEventID = 6;
pub const VIR_DOMAIN_EVENT_ID_CONTROL_ERROR: virDomainEventID = 7;
pub const VIR_DOMAIN_EVENT_ID_BLOCK_JOB: virDomainEventID = 8;
pub const VIR_DOMAIN_EVENT_ID_DISK_CHANGE: virDomainEventID = 9;
pub const VIR_DOMAIN_EVENT_ID_TRAY_CHANGE: virDomainEventID = 10;
pub const VIR_DOMAIN_EVENT_ID_PMWAKEUP: virDomainEventID = 11;
pub const VIR_DOMAIN_EVENT_ID_PMSUSPEND: virDomainEventID = 12;
pub const VIR_DOMAIN_EVENT_ID_BALLOON_CHANGE: virDomainEventID = 13;
pub const VIR_DOMAIN_EVENT_ID_PMSUSPEND_DISK: virDomainEventID = 14;
pub const VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED: virDomainEventID = 15;
pub const VIR_DOMAIN_EVENT_ID_BLOCK_JOB_2: virDomainEventID = 16;
pub const VIR_DOMAIN_EVENT_ID_TUNABLE: virDomainEventID = 17;
pub const VIR_DOMAIN_EVENT_ID_AGENT_LIFECYCLE: virDomainEventID = 18;
pub const VIR_DOMAIN_EVENT_ID_DEVICE_ADDED: virDomainEventID = 19;
pub const VIR_DOMAIN_EVENT_ID_MIGRATION_ITERATION: virDomainEventID = 20;
pub const VIR_DOMAIN_EVENT_ID_JOB_COMPLETED: virDomainEventID = 21;
pub const VIR_DOMAIN_EVENT_ID_DEVICE_REMOVAL_FAILED: virDomainEventID = 22;
pub const VIR_DOMAIN_EVENT_ID_METADATA_CHANGE: virDomainEventID = 23;
pub const VIR_DOMAIN_EVENT_ID_BLOCK_THRESHOLD: virDomainEventID = 24;
pub const VIR_DOMAIN_EVENT_ID_MEMORY_FAILURE: virDomainEventID = 25;
pub const VIR_DOMAIN_EVENT_ID_MEMORY_DEVICE_SIZE_CHANGE: virDomainEventID = 26;
pub type virDomainConsoleFlags = c_uint;
pub const VIR_DOMAIN_CONSOLE_FORCE: virDomainConsoleFlags = 1;
pub const VIR_DOMAIN_CONSOLE_SAFE: virDomainConsoleFlags = 2;
pub type virDomainChannelFlags = c_uint;
pub const VIR_DOMAIN_CHANNEL_FORCE: virDomainChannelFlags = 1;
pub type virDomainOpenGraphicsFlags = c_uint;
pub const VIR_DOMAIN_OPEN_GRAPHICS_SKIPAUTH: virDomainOpenGraphicsFlags = 1;
pub type virDomainFSInfo = _virDomainFSInfo;
pub type virDomainFSInfoPtr = *mut virDomainFSInfo;
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct _virDomainFSInfo {
    pub mountpoint: *mut c_char,
    pub name: *mut c_char,
    pub fstype: *mut c_char,
    pub ndevAlias: usize,
    pub devAlias: *mut *mut c_char,
}
pub type virDomainSetTimeFlags = c_uint;
pub const VIR_DOMAIN_TIME_SYNC: virDomainSetTimeFlags = 1;
pub type virSchedParameterType = c_uint;
pub const VIR_DOMAIN_SCHED_FIELD_INT: virSchedParameterType = 1;
pub const VIR_DOMAIN_SCHED_FIELD_UINT: virSchedParameterType = 2;
pub const VIR_DOMAIN_SCHED_FIELD_LLONG: virSchedParameterType = 3;
pub const VIR_DOMAIN_SCHED_FIELD_ULLONG: virSchedParameterType = 4;
pub const VIR_DOMAIN_SCHED_FIELD_DOUBLE: virSchedParameterType = 5;
pub const VIR_DOMAIN_SCHED_FIELD_BOOLEAN: virSchedParameterType = 6;
pub type virSchedParameter = _virTypedParameter;
pub type virSchedParameterPtr = *mut virSchedParameter;
pub type virBlkioParameterType = c_uint;
pub const VIR_DOMAIN_BLKIO_PARAM_INT: virBlkioParameterType = 1;
pub const VIR_DOMAIN_BLKIO_PARAM_UINT: virBlkioParameterType = 2;
pub const VIR_DOMAIN_BLKIO_PARAM_LLONG: virBlkioParameterType = 3;
pub const VIR_DOMAIN_BLKIO_PARAM_ULLONG: virBlkioParameterType = 4;
pub const VIR_DOMAIN_BLKIO_PARAM_DOUBLE: virBlkioParameterType = 5;
pub const VIR_DOMAIN_BLKIO_PARAM_BOOLEAN: virBlkioParameterType = 6;
pub type virBlkioParameter = _virTypedParameter;
pub type virBlkioParameterPtr = *mut virBlkioParameter;
pub type virMemoryParameterType = c_uint;
pub const VIR_DOMAIN_MEMORY_PARAM_INT: virMemoryParameterType = 1;
pub const VIR_DOMAIN_MEMORY_PARAM_UINT: virMemoryParameterType = 2;
pub const VIR_DOMAIN_MEMORY_PARAM_LLONG: virMemoryParameterType = 3;
pub const VIR_DOMAIN_MEMORY_PARAM_ULLONG: virMemoryParameterType = 4;
pub const VIR_DOMAIN_MEMORY_PARAM_DOUBLE: virMemoryParameterType = 5;
pub const VIR_DOMAIN_MEMORY_PARAM_BOOLEAN: virMemoryParameterType = 6;
pub type virMemoryParameter = _virTypedParameter;
pub type virMemoryParameterPtr = *mut virMemoryParameter;
pub type virDomainInterfaceAddressesSource = c_uint;
pub const VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_LEASE: virDomainInterfaceAddressesSource = 0;
pub const VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_AGENT: virDomainInterfaceAddressesSource = 1;
pub const VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_ARP: virDomainInterfaceAddressesSource = 2;
pub type virDomainIPAddress = _virDomainInterfaceIPAddress;
pub type virDomainIPAddressPtr = *mut virDomainIPAddress;
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct _virDomainInterfaceIPAddress {
    pub type_: c_int,
    pub addr: *mut c_char,
    pub prefix: c_uint,
}
pub type virDomainInterface = _virDomainInterface;
pub type virDomainInterfacePtr = *mut virDomainInterface;
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct _virDomainInterface {
    pub name: *mut c_char,
    pub hwaddr: *mut c_char,
    pub naddrs: c_uint,
    pub addrs: virDomainIPAddressPtr,
}
pub type virDomainSetUserPasswordFlags = c_uint;
pub const VIR_DOMAIN_PASSWORD_ENCRYPTED: virDomainSetUserPasswordFlags = 1;
pub type virDomainLifecycle = c_uint;
pub const VIR_DOMAIN_LIFECYCLE_POWEROFF: virDomainLifecycle = 0;
pub const VIR_DOMAIN_LIFECYCLE_REBOOT: virDomainLifecycle = 1;
pub const VIR_DOMAIN_LIFECYCLE_CRASH: virDomainLifecycle = 2;
pub type virDomainLifecycleAction = c_uint;
pub const VIR_DOMAIN_LIFECYCLE_ACTION_DESTROY: virDomainLifecycleAction = 0;
pub const VIR_DOMAIN_LIFECYCLE_ACTION_RESTART: virDomainLifecycleAction = 1;
pub const VIR_DOMAIN_LIFECYCLE_ACTION_RESTART_RENAME: virDomainLifecycleAction = 2;
pub const VIR_DOMAIN_LIFECYCLE_ACTION_PRESERVE: virDomainLifecycleAction = 3;
pub const VIR_DOMAIN_LIFECYCLE_ACTION_COREDUMP_DESTROY: virDomainLifecycleAction = 4;
pub const VIR_DOMAIN_LIFECYCLE_ACTION_COREDUMP_RESTART: virDomainLifecycleAction = 5;
pub type virDomainGuestInfoTypes = c_uint;
pub const VIR_DOMAIN_GUEST_INFO_USERS: virDomainGuestInfoTypes = 1;
pub const VIR_DOMAIN_GUEST_INFO_OS: virDomainGuestInfoTypes = 2;
pub const VIR_DOMAIN_GUEST_INFO_TIMEZONE: virDomainGuestInfoTypes = 4;
pub const VIR_DOMAIN_GUEST_INFO_HOSTNAME: virDomainGuestInfoTypes = 8;
pub const VIR_DOMAIN_GUEST_INFO_FILESYSTEM: virDomainGuestInfoTypes = 16;
pub const VIR_DOMAIN_GUEST_INFO_DISKS: virDomainGuestInfoTypes = 32;
pub const VIR_DOMAIN_GUEST_INFO_INTERFACES: virDomainGuestInfoTypes = 64;
pub type virDomainAgentResponseTimeoutValues = c_int;
pub const VIR_DOMAIN_AGENT_RESPONSE_TIMEOUT_BLOCK: virDomainAgentResponseTimeoutValues = -2;
pub const VIR_DOMAIN_AGENT_RESPONSE_TIMEOUT_DEFAULT: virDomainAgentResponseTimeoutValues = -1;
pub const VIR_DOMAIN_AGENT_RESPONSE_TIMEOUT_NOWAIT: virDomainAgentResponseTimeoutValues = 0;
pub type virDomainBackupBeginFlags = c_uint;
pub const VIR_DOMAIN_BACKUP_BEGIN_REUSE_EXTERNAL: virDomainBackupBeginFlags = 1;
pub type virDomainAuthorizedSSHKeysSetFlags = c_uint;
pub const VIR_DOMAIN_AUTHORIZED_SSH_KEYS_SET_APPEND: virDomainAuthorizedSSHKeysSetFlags = 1;
pub const VIR_DOMAIN_AUTHORIZED_SSH_KEYS_SET_REMOVE: virDomainAuthorizedSSHKeysSetFlags = 2;
pub type virDomainMessageType = c_uint;
pub const VIR_DOMAIN_MESSAGE_DEPRECATION: virDomainMessageType = 1;
pub const VIR_DOMAIN_MESSAGE_TAINTING: virDomainMessageType = 2;
pub type virDomainDirtyRateStatus = c_uint;
pub const VIR_DOMAIN_DIRTYRATE_UNSTARTED: virDomainDirtyRateStatus = 0;
pub const VIR_DOMAIN_DIRTYRATE_MEASURING: virDomainDirtyRateStatus = 1;
pub const VIR_DOMAIN_DIRTYRATE_MEASURED: virDomainDirtyRateStatus = 2;
pub type virDomainDirtyRateCalcFlags = c_uint;
pub const VIR_DOMAIN_DIRTYRATE_MODE_PAGE_SAMPLING: virDomainDirtyRateCalcFlags = 0;
pub const VIR_DOMAIN_DIRTYRATE_MODE_DIRTY_BITMAP: virDomainDirtyRateCalcFlags = 1;
pub const VIR_DOMAIN_DIRTYRATE_MODE_DIRTY_RING: virDomainDirtyRateCalcFlags = 2;
pub type virDomainFDAssociateFlags = c_uint;
pub const VIR_DOMAIN_FD_ASSOCIATE_SECLABEL_RESTORE: virDomainFDAssociateFlags = 1;
pub const VIR_DOMAIN_FD_ASSOCIATE_SECLABEL_WRITABLE: virDomainFDAssociateFlags = 2;
pub type virDomainCheckpoint = _virDomainCheckpoint;
pub type virDomainCheckpointPtr = *mut virDomainCheckpoint;
pub type virDomainCheckpointCreateFlags = c_uint;
pub const VIR_DOMAIN_CHECKPOINT_CREATE_REDEFINE: virDomainCheckpointCreateFlags = 1;
pub const VIR_DOMAIN_CHECKPOINT_CREATE_QUIESCE: virDomainCheckpointCreateFlags = 2;
pub const VIR_DOMAIN_CHECKPOINT_CREATE_REDEFINE_VALIDATE: virDomainCheckpointCreateFlags = 4;
pub type virDomainCheckpointXMLFlags = c_uint;
pub const VIR_DOMAIN_CHECKPOINT_XML_SECURE: virDomainCheckpointXMLFlags = 1;
pub const VIR_DOMAIN_CHECKPOINT_XML_NO_DOMAIN: virDomainCheckpointXMLFlags = 2;
pub const VIR_DOMAIN_CHECKPOINT_XML_SIZE: virDomainCheckpointXMLFlags = 4;
pub type virDomainCheckpointListFlags = c_uint;
pub const VIR_DOMAIN_CHECKPOINT_LIST_ROOTS: virDomainCheckpointListFlags = 1;
pub const VIR_DOMAIN_CHECKPOINT_LIST_DESCENDANTS: virDomainCheckpointListFlags = 1;
pub const VIR_DOMAIN_CHECKPOINT_LIST_TOPOLOGICAL: virDomainCheckpointListFlags = 2;
pub const VIR_DOMAIN_CHECKPOINT_LIST_LEAVES: virDomainCheckpointListFlags = 4;
pub const VIR_DOMAIN_CHECKPOINT_LIST_NO_LEAVES: virDomainCheckpointListFlags = 8;
pub type virDomainCheckpointDeleteFlags = c_uint;
pub const VIR_DOMAIN_CHECKPOINT_DELETE_CHILDREN: virDomainCheckpointDeleteFlags = 1;
pub const VIR_DOMAIN_CHECKPOINT_DELETE_METADATA_ONLY: virDomainCheckpointDeleteFlags = 2;
pub const VIR_DOMAIN_CHECKPOINT_DELETE_CHILDREN_ONLY: virDomainCheckpointDeleteFlags = 4;
pub type virDomainSnapshot = _virDomainSnapshot;
pub type virDomainSnapshotPtr = *mut virDomainSnapshot;
pub type virDomainSnapshotCreateFlags = c_uint;
pub const VIR_DOMAIN_SNAPSHOT_CREATE_REDEFINE: virDomainSnapshotCreateFlags = 1;
pub const VIR_DOMAIN_SNAPSHOT_CREATE_CURRENT: virDomainSnapshotCreateFlags = 2;
pub const VIR_DOMAIN_SNAPSHOT_CREATE_NO_METADATA: virDomainSnapshotCreateFlags = 4;
pub const VIR_DOMAIN_SNAPSHOT_CREATE_HALT: virDomainSnapshotCreateFlags = 8;
pub const VIR_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY: virDomainSnapshotCreateFlags = 16;
pub const VIR_DOMAIN_SNAPSHOT_CREATE_REUSE_EXT: virDomainSnapshotCreateFlags = 32;
pub const VIR_DOMAIN_SNAPSHOT_CREATE_QUIESCE: virDomainSnapshotCreateFlags = 64;
pub const VIR_DOMAIN_SNAPSHOT_CREATE_ATOMIC: virDomainSnapshotCreateFlags = 128;
pub const VIR_DOMAIN_SNAPSHOT_CREATE_LIVE: virDomainSnapshotCreateFlags = 256;
pub const VIR_DOMAIN_SNAPSHOT_CREATE_VALIDATE: virDomainSnapshotCreateFlags = 512;
pub type virDomainSnapshotXMLFlags = c_uint;
pub const VIR_DOMAIN_SNAPSHOT_XML_SECURE: virDomainSnapshotXMLFlags = 1;
pub type virDomainSnapshotListFlags = c_uint;
pub const VIR_DOMAIN_SNAPSHOT_LIST_ROOTS: virDomainSnapshotListFlags = 1;
pub const VIR_DOMAIN_SNAPSHOT_LIST_DESCENDANTS: virDomainSnapshotListFlags = 1;
pub const VIR_DOMAIN_SNAPSHOT_LIST_LEAVES: virDomainSnapshotListFlags = 4;
pub const VIR_DOMAIN_SNAPSHOT_LIST_NO_LEAVES: virDomainSnapshotListFlags = 8;
pub const VIR_DOMAIN_SNAPSHOT_LIST_METADATA: virDomainSnapshotListFlags = 2;
pub const VIR_DOMAIN_SNAPSHOT_LIST_NO_METADATA: virDomainSnapshotListFlags = 16;
pub const VIR_DOMAIN_SNAPSHOT_LIST_INACTIVE: virDomainSnapshotListFlags = 32;
pub const VIR_DOMAIN_SNAPSHOT_LIST_ACTIVE: virDomainSnapshotListFlags = 64;
pub const VIR_DOMAIN_SNAPSHOT_LIST_DISK_ONLY: virDomainSnapshotListFlags = 128;
pub const VIR_DOMAIN_SNAPSHOT_LIST_INTERNAL: virDomainSnapshotListFlags = 256;
pub const VIR_DOMAIN_SNAPSHOT_LIST_EXTERNAL: virDomainSnapshotListFlags = 512;
pub const VIR_DOMAIN_SNAPSHOT_LIST_TOPOLOGICAL: virDomainSnapshotListFlags = 1024;
pub type virDomainSnapshotRevertFlags = c_uint;
pub const VIR_DOMAIN_SNAPSHOT_REVERT_RUNNING: virDomainSnapshotRevertFlags = 1;
pub const VIR_DOMAIN_SNAPSHOT_REVERT_PAUSED: virDomainSnapshotRevertFlags = 2;
pub const VIR_DOMAIN_SNAPSHOT_REVERT_FORCE: virDomainSnapshotRevertFlags = 4;
pub const VIR_DOMAIN_SNAPSHOT_REVERT_RESET_NVRAM: virDomainSnapshotRevertFlags = 8;
pub type virDomainSnapshotDeleteFlags = c_uint;
pub const VIR_DOMAIN_SNAPSHOT_DELETE_CHILDREN: virDomainSnapshotDeleteFlags = 1;
pub const VIR_DOMAIN_SNAPSHOT_DELETE_METADATA_ONLY: virDomainSnapshotDeleteFlags = 2;
pub const VIR_DOMAIN_SNAPSHOT_DELETE_CHILDREN_ONLY: virDomainSnapshotDeleteFlags = 4;
pub type virEventHandleType = c_uint;
pub const VIR_EVENT_HANDLE_READABLE: virEventHandleType = 1;
pub const VIR_EVENT_HANDLE_WRITABLE: virEventHandleType = 2;
pub const VIR_EVENT_HANDLE_ERROR: virEventHandleType = 4;
pub const VIR_EVENT_HANDLE_HANGUP: virEventHandleType = 8;
pub type virEventHandleCallback =
    Option<unsafe extern "C" fn(watch: c_int, fd: c_int, events: c_int, opaque: *mut c_void)>;
pub type virEventAddHandleFunc = Option<
    unsafe extern "C" fn(
        fd: c_int,
        event: c_int,
        cb: virEventHandleCallback,
        opaque: *mut c_void,
        ff: virFreeCallback,
    ) -> c_int,
>;
pub type virEventUpdateHandleFunc = Option<unsafe extern "C" fn(watch: c_int, event: c_int)>;
pub type virEventRemoveHandleFunc = Option<unsafe extern "C" fn(watch: c_int) -> c_int>;
pub type virEventTimeoutCallback = Option<unsafe extern "C" fn(timer: c_int, opaque: *mut c_void)>;
pub type virEventAddTimeoutFunc = Option<
    unsafe extern "C" fn(
        timeout: c_int,
        cb: virEventTimeoutCallback,
        opaque: *mut c_void,
        ff: virFreeCallback,
    ) -> c_int,
>;
pub type virEventUpdateTimeoutFunc = Option<unsafe extern "C" fn(timer: c_int, timeout: c_int)>;
pub type virEventRemoveTimeoutFunc = Option<unsafe extern "C" fn(timer: c_int) -> c_int>;
pub type virInterface = _virInterface;
pub type virInterfacePtr = *mut virInterface;
pub type virConnectListAllInterfacesFlags = c_uint;
pub const VIR_CONNECT_LIST_INTERFACES_INACTIVE: virConnectListAllInterfacesFlags = 1;
pub const VIR_CONNECT_LIST_INTERFACES_ACTIVE: virConnectListAllInterfacesFlags = 2;
pub type virInterfaceXMLFlags = c_uint;
pub const VIR_INTERFACE_XML_INACTIVE: virInterfaceXMLFlags = 1;
pub type virInterfaceDefineFlags = c_uint;
pub const VIR_INTERFACE_DEFINE_VALIDATE: virInterfaceDefineFlags = 1;
pub type virNetworkXMLFlags = c_uint;
pub const VIR_NETWORK_XML_INACTIVE: virNetworkXMLFlags = 1;
pub type virNetwork = _virNetwork;
pub type virNetworkPtr = *mut virNetwork;
pub type virNetworkPort = _virNetworkPort;
pub type virNetworkPortPtr = *mut virNetworkPort;
pub type virConnectListAllNetworksFlags = c_uint;
pub const VIR_CONNECT_LIST_NETWORKS_INACTIVE: virConnectListAllNetworksFlags = 1;
pub const VIR_CONNECT_LIST_NETWORKS_ACTIVE: virConnectListAllNetworksFlags = 2;
pub const VIR_CONNECT_LIST_NETWORKS_PERSISTENT: virConnectListAllNetworksFlags = 4;
pub const VIR_CONNECT_LIST_NETWORKS_TRANSIENT: virConnectListAllNetworksFlags = 8;
pub const VIR_CONNECT_LIST_NETWORKS_AUTOSTART: virConnectListAllNetworksFlags = 16;
pub const VIR_CONNECT_LIST_NETWORKS_NO_AUTOSTART: virConnectListAllNetworksFlags = 32;
pub type virNetworkCreateFlags = c_uint;
pub const VIR_NETWORK_CREATE_VALIDATE: virNetworkCreateFlags = 1;
pub type virNetworkDefineFlags = c_uint;
pub const VIR_NETWORK_DEFINE_VALIDATE: virNetworkDefineFlags = 1;
pub type virNetworkUpdateCommand = c_uint;
pub const VIR_NETWORK_UPDATE_COMMAND_NONE: virNetworkUpdateCommand = 0;
pub const VIR_NETWORK_UPDATE_COMMAND_MODIFY: virNetworkUpdateCommand = 1;
pub const VIR_NETWORK_UPDATE_COMMAND_DELETE: virNetworkUpdateCommand = 2;
pub const VIR_NETWORK_UPDATE_COMMAND_ADD_LAST: virNetworkUpdateCommand = 3;
pub const VIR_NETWORK_UPDATE_COMMAND_ADD_FIRST: virNetworkUpdateCommand = 4;
pub type virNetworkUpdateSection = c_uint;
pub const VIR_NETWORK_SECTION_NONE: virNetworkUpdateSection = 0;
pub const VIR_NETWORK_SECTION_BRIDGE: virNetworkUpdateSection = 1;
pub const VIR_NETWORK_SECTION_DOMAIN: virNetworkUpdateSection = 2;
pub const VIR_NETWORK_SECTION_IP: virNetworkUpdateSection = 3;
pub const VIR_NETWORK_SECTION_IP_DHCP_HOST: virNetworkUpdateSection = 4;
pub const VIR_NETWORK_SECTION_IP_DHCP_RANGE: virNetworkUpdateSection = 5;
pub const VIR_NETWORK_SECTION_FORWARD: virNetworkUpdateSection = 6;
pub const VIR_NETWORK_SECTION_FORWARD_INTERFACE: virNetworkUpdateSection = 7;
pub const VIR_NETWORK_SECTION_FORWARD_PF: virNetworkUpdateSection = 8;
pub const VIR_NETWORK_SECTION_PORTGROUP: virNetworkUpdateSection = 9;
pub const VIR_NETWORK_SECTION_DNS_HOST: virNetworkUpdateSection = 10;
pub const VIR_NETWORK_SECTION_DNS_TXT: virNetworkUpdateSection = 11;
pub const VIR_NETWORK_SECTION_DNS_SRV: virNetworkUpdateSection = 12;
pub type virNetworkUpdateFlags = c_uint;
pub const VIR_NETWORK_UPDATE_AFFECT_CURRENT: virNetworkUpdateFlags = 0;
pub const VIR_NETWORK_UPDATE_AFFECT_LIVE: virNetworkUpdateFlags = 1;
pub const VIR_NETWORK_UPDATE_AFFECT_CONFIG: virNetworkUpdateFlags = 2;
pub type virNetworkEventLifecycleType = c_uint;
pub const VIR_NETWORK_EVENT_DEFINED: virNetworkEventLifecycleType = 0;
pub const VIR_NETWORK_EVENT_UNDEFINED: virNetworkEventLifecycleType = 1;
pub const VIR_NETWORK_EVENT_STARTED: virNetworkEventLifecycleType = 2;
pub const VIR_NETWORK_EVENT_STOPPED: virNetworkEventLifecycleType = 3;
pub type virConnectNetworkEventLifecycleCallback = Option<
    unsafe extern "C" fn(
        conn: virConnectPtr,
        net: virNetworkPtr,
        event: c_int,
        detail: c_int,
        opaque: *mut c_void,
    ),
>;
pub type virNetworkEventID = c_uint;
pub const VIR_NETWORK_EVENT_ID_LIFECYCLE: virNetworkEventID = 0;
pub type virIPAddrType = c_uint;
pub const VIR_IP_ADDR_TYPE_IPV4: virIPAddrType = 0;
pub const VIR_IP_ADDR_TYPE_IPV6: virIPAddrType = 1;
pub type virNetworkDHCPLease = _virNetworkDHCPLease;
pub type virNetworkDHCPLeasePtr = *mut virNetworkDHCPLease;
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct _virNetworkDHCPLease {
    pub iface: *mut c_char,
    pub expirytime: c_longlong,
    pub type_: c_int,
    pub mac: *mut c_char,
    pub iaid: *mut c_char,
    pub ipaddr: *mut c_char,
    pub prefix: c_uint,
    pub hostname: *mut c_char,
    pub clientid: *mut c_char,
}
pub type virConnectNetworkEventGenericCallback =
    Option<unsafe extern "C" fn(conn: virConnectPtr, net: virNetworkPtr, opaque: *mut c_void)>;
pub type virNetworkPortCreateFlags = c_uint;
pub const VIR_NETWORK_PORT_CREATE_RECLAIM: virNetworkPortCreateFlags = 1;
pub const VIR_NETWORK_PORT_CREATE_VALIDATE: virNetworkPortCreateFlags = 2;
pub type virNodeDevice = _virNodeDevice;
pub type virNodeDevicePtr = *mut virNodeDevice;
pub type virConnectListAllNodeDeviceFlags = c_uint;
pub const VIR_CONNECT_LIST_NODE_DEVICES_CAP_SYSTEM: virConnectListAllNodeDeviceFlags = 1;
pub const VIR_CONNECT_LIST_NODE_DEVICES_CAP_PCI_DEV: virConnectListAllNodeDeviceFlags = 2;
pub const VIR_CONNECT_LIST_NODE_DEVICES_CAP_USB_DEV: virConnectListAllNodeDeviceFlags = 4;
pub const VIR_CONNECT_LIST_NODE_DEVICES_CAP_USB_INTERFACE: virConnectListAllNodeDeviceFlags = 8;
pub const VIR_CONNECT_LIST_NODE_DEVICES_CAP_NET: virConnectListAllNodeDeviceFlags = 16;
pub const VIR_CONNECT_LIST_NODE_DEVICES_CAP_SCSI_HOST: virConnectListAllNodeDeviceFlags = 32;
pub const VIR_CONNECT_LIST_NODE_DEVICES_CAP_SCSI_TARGET: virConnectListAllNodeDeviceFlags = 64;
pub const VIR_CONNECT_LIST_NODE_DEVICES_CAP_SCSI: virConnectListAllNodeDeviceFlags = 128;
pub const VIR_CONNECT_LIST_NODE_DEVICES_CAP_STORAGE: virConnectListAllNodeDeviceFlags = 256;
pub const VIR_CONNECT_LIST_NODE_DEVICES_CAP_FC_HOST: virConnectListAllNodeDeviceFlags = 512;
pub const VIR_CONNECT_LIST_NODE_DEVICES_CAP_VPORTS: virConnectListAllNodeDeviceFlags = 1024;
pub const VIR_CONNECT_LIST_NODE_DEVICES_CAP_SCSI_GENERIC: virConnectListAllNodeDeviceFlags = 2048;
pub const VIR_CONNECT_LIST_NODE_DEVICES_CAP_DRM: virConnectListAllNodeDeviceFlags = 4096;
pub const VIR_CONNECT_LIST_NODE_DEVICES_CAP_MDEV_TYPES: virConnectListAllNodeDeviceFlags = 8192;
pub const VIR_CONNECT_LIST_NODE_DEVICES_CAP_MDEV: virConnectListAllNodeDeviceFlags = 16384;
pub const VIR_CONNECT_LIST_NODE_DEVICES_CAP_CCW_DEV: virConnectListAllNodeDeviceFlags = 32768;
pub const VIR_CONNECT_LIST_NODE_DEVICES_CAP_CSS_DEV: virConnectListAllNodeDeviceFlags = 65536;
pub const VIR_CONNECT_LIST_NODE_DEVICES_CAP_VDPA: virConnectListAllNodeDeviceFlags = 131072;
pub const VIR_CONNECT_LIST_NODE_DEVICES_CAP_AP_CARD: virConnectListAllNodeDeviceFlags = 262144;
pub const VIR_CONNECT_LIST_NODE_DEVICES_CAP_AP_QUEUE: virConnectListAllNodeDeviceFlags = 524288;
pub const VIR_CONNECT_LIST_NODE_DEVICES_CAP_AP_MATRIX: virConnectListAllNodeDeviceFlags = 1048576;
pub const VIR_CONNECT_LIST_NODE_DEVICES_CAP_VPD: virConnectListAllNodeDeviceFlags = 2097152;
pub const VIR_CONNECT_LIST_NODE_DEVICES_INACTIVE: virConnectListAllNodeDeviceFlags = 1073741824;
pub const VIR_CONNECT_LIST_NODE_DEVICES_ACTIVE: virConnectListAllNodeDeviceFlags = 2147483648;
pub type virNodeDeviceCreateXMLFlags = c_uint;
pub const VIR_NODE_DEVICE_CREATE_XML_VALIDATE: virNodeDeviceCreateXMLFlags = 1;
pub type virNodeDeviceDefineXMLFlags = c_uint;
pub const VIR_NODE_DEVICE_DEFINE_XML_VALIDATE: virNodeDeviceDefineXMLFlags = 1;
pub type virNodeDeviceEventID = c_uint;
pub const VIR_NODE_DEVICE_EVENT_ID_LIFECYCLE: virNodeDeviceEventID = 0;
pub const VIR_NODE_DEVICE_EVENT_ID_UPDATE: virNodeDeviceEventID = 1;
pub type virConnectNodeDeviceEventGenericCallback =
    Option<unsafe extern "C" fn(conn: virConnectPtr, dev: virNodeDevicePtr, opaque: *mut c_void)>;
pub type virNodeDeviceEventLifecycleType = c_uint;
pub const VIR_NODE_DEVICE_EVENT_CREATED: virNodeDeviceEventLifecycleType = 0;
pub const VIR_NODE_DEVICE_EVENT_DELETED: virNodeDeviceEventLifecycleType = 1;
pub const VIR_NODE_DEVICE_EVENT_DEFINED: virNodeDeviceEventLifecycleType = 2;
pub const VIR_NODE_DEVICE_EVENT_UNDEFINED: virNodeDeviceEventLifecycleType = 3;
pub type virConnectNodeDeviceEventLifecycleCallback = Option<
    unsafe extern "C" fn(
        conn: virConnectPtr,
        dev: virNodeDevicePtr,
        event: c_int,
        detail: c_int,
        opaque: *mut c_void,
    ),
>;
pub type virNWFilter = _virNWFilter;
pub type virNWFilterPtr = *mut virNWFilter;
pub type virNWFilterBinding = _virNWFilterBinding;
pub type virNWFilterBindingPtr = *mut virNWFilterBinding;
pub type virNWFilterDefineFlags = c_uint;
pub const VIR_NWFILTER_DEFINE_VALIDATE: virNWFilterDefineFlags = 1;
pub type virNWFilterBindingCreateFlags = c_uint;
pub const VIR_NWFILTER_BINDING_CREATE_VALIDATE: virNWFilterBindingCreateFlags = 1;
pub type virSecret = _virSecret;
pub type virSecretPtr = *mut virSecret;
pub type virSecretUsageType = c_uint;
pub const VIR_SECRET_USAGE_TYPE_NONE: virSecretUsageType = 0;
pub const VIR_SECRET_USAGE_TYPE_VOLUME: virSecretUsageType = 1;
pub const VIR_SECRET_USAGE_TYPE_CEPH: virSecretUsageType = 2;
pub const VIR_SECRET_USAGE_TYPE_ISCSI: virSecretUsageType = 3;
pub const VIR_SECRET_USAGE_TYPE_TLS: virSecretUsageType = 4;
pub const VIR_SECRET_USAGE_TYPE_VTPM: virSecretUsageType = 5;
pub type virConnectListAllSecretsFlags = c_uint;
pub const VIR_CONNECT_LIST_SECRETS_EPHEMERAL: virConnectListAllSecretsFlags = 1;
pub const VIR_CONNECT_LIST_SECRETS_NO_EPHEMERAL: virConnectListAllSecretsFlags = 2;
pub const VIR_CONNECT_LIST_SECRETS_PRIVATE: virConnectListAllSecretsFlags = 4;
pub const VIR_CONNECT_LIST_SECRETS_NO_PRIVATE: virConnectListAllSecretsFlags = 8;
pub type virSecretDefineFlags = c_uint;
pub const VIR_SECRET_DEFINE_VALIDATE: virSecretDefineFlags = 1;
pub type virSecretEventID = c_uint;
pub const VIR_SECRET_EVENT_ID_LIFECYCLE: virSecretEventID = 0;
pub const VIR_SECRET_EVENT_ID_VALUE_CHANGED: virSecretEventID = 1;
pub type virConnectSecretEventGenericCallback =
    Option<unsafe extern "C" fn(conn: virConnectPtr, secret: virSecretPtr, opaque: *mut c_void)>;
pub type virSecretEventLifecycleType = c_uint;
pub const VIR_SECRET_EVENT_DEFINED: virSecretEventLifecycleType = 0;
pub const VIR_SECRET_EVENT_UNDEFINED: virSecretEventLifecycleType = 1;
pub type virConnectSecretEventLifecycleCallback = Option<
    unsafe extern "C" fn(
        conn: virConnectPtr,
        secret: virSecretPtr,
        event: c_int,
        detail: c_int,
        opaque: *mut c_void,
    ),
>;
pub type virStoragePool = _virStoragePool;
pub type virStoragePoolPtr = *mut virStoragePool;
pub type virStoragePoolState = c_uint;
pub const VIR_STORAGE_POOL_INACTIVE: virStoragePoolState = 0;
pub const VIR_STORAGE_POOL_BUILDING: virStoragePoolState = 1;
pub const VIR_STORAGE_POOL_RUNNING: virStoragePoolState = 2;
pub const VIR_STORAGE_POOL_DEGRADED: virStoragePoolState = 3;
pub const VIR_STORAGE_POOL_INACCESSIBLE: virStoragePoolState = 4;
pub type virStoragePoolBuildFlags = c_uint;
pub const VIR_STORAGE_POOL_BUILD_NEW: virStoragePoolBuildFlags = 0;
pub const VIR_STORAGE_POOL_BUILD_REPAIR: virStoragePoolBuildFlags = 1;
pub const VIR_STORAGE_POOL_BUILD_RESIZE: virStoragePoolBuildFlags = 2;
pub const VIR_STORAGE_POOL_BUILD_NO_OVERWRITE: virStoragePoolBuildFlags = 4;
pub const VIR_STORAGE_POOL_BUILD_OVERWRITE: virStoragePoolBuildFlags = 8;
pub type virStoragePoolDeleteFlags = c_uint;
pub const VIR_STORAGE_POOL_DELETE_NORMAL: virStoragePoolDeleteFlags = 0;
pub const VIR_STORAGE_POOL_DELETE_ZEROED: virStoragePoolDeleteFlags = 1;
pub type virStoragePoolCreateFlags = c_uint;
pub const VIR_STORAGE_POOL_CREATE_NORMAL: virStoragePoolCreateFlags = 0;
pub const VIR_STORAGE_POOL_CREATE_WITH_BUILD: virStoragePoolCreateFlags = 1;
pub const VIR_STORAGE_POOL_CREATE_WITH_BUILD_OVERWRITE: virStoragePoolCreateFlags = 2;
pub const VIR_STORAGE_POOL_CREATE_WITH_BUILD_NO_OVERWRITE: virStoragePoolCreateFlags = 4;
pub type virStoragePoolInfo = _virStoragePoolInfo;
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct _virStoragePoolInfo {
    pub state: c_int,
    pub capacity: c_ulonglong,
    pub allocation: c_ulonglong,
    pub available: c_ulonglong,
}
pub type virStoragePoolInfoPtr = *mut virStoragePoolInfo;
pub type virStorageVol = _virStorageVol;
pub type virStorageVolPtr = *mut virStorageVol;
pub type virStorageVolType = c_uint;
pub const VIR_STORAGE_VOL_FILE: virStorageVolType = 0;
pub const VIR_STORAGE_VOL_BLOCK: virStorageVolType = 1;
pub const VIR_STORAGE_VOL_DIR: virStorageVolType = 2;
pub const VIR_STORAGE_VOL_NETWORK: virStorageVolType = 3;
pub const VIR_STORAGE_VOL_NETDIR: virStorageVolType = 4;
pub const VIR_STORAGE_VOL_PLOOP: virStorageVolType = 5;
pub type virStorageVolDeleteFlags = c_uint;
pub const VIR_STORAGE_VOL_DELETE_NORMAL: virStorageVolDeleteFlags = 0;
pub const VIR_STORAGE_VOL_DELETE_ZEROED: virStorageVolDeleteFlags = 1;
pub const VIR_STORAGE_VOL_DELETE_WITH_SNAPSHOTS: virStorageVolDeleteFlags = 2;
pub type virStorageVolWipeAlgorithm = c_uint;
pub const VIR_STORAGE_VOL_WIPE_ALG_ZERO: virStorageVolWipeAlgorithm = 0;
pub const VIR_STORAGE_VOL_WIPE_ALG_NNSA: virStorageVolWipeAlgorithm = 1;
pub const VIR_STORAGE_VOL_WIPE_ALG_DOD: virStorageVolWipeAlgorithm = 2;
pub const VIR_STORAGE_VOL_WIPE_ALG_BSI: virStorageVolWipeAlgorithm = 3;
pub const VIR_STORAGE_VOL_WIPE_ALG_GUTMANN: virStorageVolWipeAlgorithm = 4;
pub const VIR_STORAGE_VOL_WIPE_ALG_SCHNEIER: virStorageVolWipeAlgorithm = 5;
pub const VIR_STORAGE_VOL_WIPE_ALG_PFITZNER7: virStorageVolWipeAlgorithm = 6;
pub const VIR_STORAGE_VOL_WIPE_ALG_PFITZNER33: virStorageVolWipeAlgorithm = 7;
pub const VIR_STORAGE_VOL_WIPE_ALG_RANDOM: virStorageVolWipeAlgorithm = 8;
pub const VIR_STORAGE_VOL_WIPE_ALG_TRIM: virStorageVolWipeAlgorithm = 9;
pub type virStorageVolInfoFlags = c_uint;
pub const VIR_STORAGE_VOL_USE_ALLOCATION: virStorageVolInfoFlags = 0;
pub const VIR_STORAGE_VOL_GET_PHYSICAL: virStorageVolInfoFlags = 1;
pub type virStorageVolInfo = _virStorageVolInfo;
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct _virStorageVolInfo {
    pub type_: c_int,
    pub capacity: c_ulonglong,
    pub allocation: c_ulonglong,
}
pub type virStorageVolInfoPtr = *mut virStorageVolInfo;
pub type virStorageXMLFlags = c_uint;
pub const VIR_STORAGE_XML_INACTIVE: virStorageXMLFlags = 1;
pub type virConnectListAllStoragePoolsFlags = c_uint;
pub const VIR_CONNECT_LIST_STORAGE_POOLS_INACTIVE: virConnectListAllStoragePoolsFlags = 1;
pub const VIR_CONNECT_LIST_STORAGE_POOLS_ACTIVE: virConnectListAllStoragePoolsFlags = 2;
pub const VIR_CONNECT_LIST_STORAGE_POOLS_PERSISTENT: virConnectListAllStoragePoolsFlags = 4;
pub const VIR_CONNECT_LIST_STORAGE_POOLS_TRANSIENT: virConnectListAllStoragePoolsFlags = 8;
pub const VIR_CONNECT_LIST_STORAGE_POOLS_AUTOSTART: virConnectListAllStoragePoolsFlags = 16;
pub const VIR_CONNECT_LIST_STORAGE_POOLS_NO_AUTOSTART: virConnectListAllStoragePoolsFlags = 32;
pub const VIR_CONNECT_LIST_STORAGE_POOLS_DIR: virConnectListAllStoragePoolsFlags = 64;
pub const VIR_CONNECT_LIST_STORAGE_POOLS_FS: virConnectListAllStoragePoolsFlags = 128;
pub const VIR_CONNECT_LIST_STORAGE_POOLS_NETFS: virConnectListAllStoragePoolsFlags = 256;
pub const VIR_CONNECT_LIST_STORAGE_POOLS_LOGICAL: virConnectListAllStoragePoolsFlags = 512;
pub const VIR_CONNECT_LIST_STORAGE_POOLS_DISK: virConnectListAllStoragePoolsFlags = 1024;
pub const VIR_CONNECT_LIST_STORAGE_POOLS_ISCSI: virConnectListAllStoragePoolsFlags = 2048;
pub const VIR_CONNECT_LIST_STORAGE_POOLS_SCSI: virConnectListAllStoragePoolsFlags = 4096;
pub const VIR_CONNECT_LIST_STORAGE_POOLS_MPATH: virConnectListAllStoragePoolsFlags = 8192;
pub const VIR_CONNECT_LIST_STORAGE_POOLS_RBD: virConnectListAllStoragePoolsFlags = 16384;
pub const VIR_CONNECT_LIST_STORAGE_POOLS_SHEEPDOG: virConnectListAllStoragePoolsFlags = 32768;
pub const VIR_CONNECT_LIST_STORAGE_POOLS_GLUSTER: virConnectListAllStoragePoolsFlags = 65536;
pub const VIR_CONNECT_LIST_STORAGE_POOLS_ZFS: virConnectListAllStoragePoolsFlags = 131072;
pub const VIR_CONNECT_LIST_STORAGE_POOLS_VSTORAGE: virConnectListAllStoragePoolsFlags = 262144;
pub const VIR_CONNECT_LIST_STORAGE_POOLS_ISCSI_DIRECT: virConnectListAllStoragePoolsFlags = 524288;
pub type virStoragePoolDefineFlags = c_uint;
pub const VIR_STORAGE_POOL_DEFINE_VALIDATE: virStoragePoolDefineFlags = 1;
pub type virStorageVolCreateFlags = c_uint;
pub const VIR_STORAGE_VOL_CREATE_PREALLOC_METADATA: virStorageVolCreateFlags = 1;
pub const VIR_STORAGE_VOL_CREATE_REFLINK: virStorageVolCreateFlags = 2;
pub const VIR_STORAGE_VOL_CREATE_VALIDATE: virStorageVolCreateFlags = 4;
pub type virStorageVolDownloadFlags = c_uint;
pub const VIR_STORAGE_VOL_DOWNLOAD_SPARSE_STREAM: virStorageVolDownloadFlags = 1;
pub type virStorageVolUploadFlags = c_uint;
pub const VIR_STORAGE_VOL_UPLOAD_SPARSE_STREAM: virStorageVolUploadFlags = 1;
pub type virStorageVolResizeFlags = c_uint;
pub const VIR_STORAGE_VOL_RESIZE_ALLOCATE: virStorageVolResizeFlags = 1;
pub const VIR_STORAGE_VOL_RESIZE_DELTA: virStorageVolResizeFlags = 2;
pub const VIR_STORAGE_VOL_RESIZE_SHRINK: virStorageVolResizeFlags = 4;
pub type virStoragePoolEventID = c_uint;
pub const VIR_STORAGE_POOL_EVENT_ID_LIFECYCLE: virStoragePoolEventID = 0;
pub const VIR_STORAGE_POOL_EVENT_ID_REFRESH: virStoragePoolEventID = 1;
pub type virConnectStoragePoolEventGenericCallback =
    Option<unsafe extern "C" fn(conn: virConnectPtr, pool: virStoragePoolPtr, opaque: *mut c_void)>;
pub type virStoragePoolEventLifecycleType = c_uint;
pub const VIR_STORAGE_POOL_EVENT_DEFINED: virStoragePoolEventLifecycleType = 0;
pub const VIR_STORAGE_POOL_EVENT_UNDEFINED: virStoragePoolEventLifecycleType = 1;
pub const VIR_STORAGE_POOL_EVENT_STARTED: virStoragePoolEventLifecycleType = 2;
pub const VIR_STORAGE_POOL_EVENT_STOPPED: virStoragePoolEventLifecycleType = 3;
pub const VIR_STORAGE_POOL_EVENT_CREATED: virStoragePoolEventLifecycleType = 4;
pub const VIR_STORAGE_POOL_EVENT_DELETED: virStoragePoolEventLifecycleType = 5;
pub type virConnectStoragePoolEventLifecycleCallback = Option<
    unsafe extern "C" fn(
        conn: virConnectPtr,
        pool: virStoragePoolPtr,
        event: c_int,
        detail: c_int,
        opaque: *mut c_void,
    ),
>;
pub type virStreamFlags = c_uint;
pub const VIR_STREAM_NONBLOCK: virStreamFlags = 1;
pub type virStreamRecvFlagsValues = c_uint;
pub const VIR_STREAM_RECV_STOP_AT_HOLE: virStreamRecvFlagsValues = 1;
pub type virStreamSourceFunc = Option<
    unsafe extern "C" fn(
        st: virStreamPtr,
        data: *mut c_char,
        nbytes: usize,
        opaque: *mut c_void,
    ) -> c_int,
>;
pub type virStreamSourceHoleFunc = Option<
    unsafe extern "C" fn(
        st: virStreamPtr,
        inData: *mut c_int,
        length: *mut c_longlong,
        opaque: *mut c_void,
    ) -> c_int,
>;
pub type virStreamSourceSkipFunc = Option<
    unsafe extern "C" fn(st: virStreamPtr, length: c_longlong, opaque: *mut c_void) -> c_int,
>;
pub type virStreamSinkFunc = Option<
    unsafe extern "C" fn(
        st: virStreamPtr,
        data: *const c_char,
        nbytes: usize,
        opaque: *mut c_void,
    ) -> c_int,
>;
pub type virStreamSinkHoleFunc = Option<
    unsafe extern "C" fn(st: virStreamPtr, length: c_longlong, opaque: *mut c_void) -> c_int,
>;
pub type virStreamEventType = c_uint;
pub const VIR_STREAM_EVENT_READABLE: virStreamEventType = 1;
pub const VIR_STREAM_EVENT_WRITABLE: virStreamEventType = 2;
pub const VIR_STREAM_EVENT_ERROR: virStreamEventType = 4;
pub const VIR_STREAM_EVENT_HANGUP: virStreamEventType = 8;
pub type virStreamEventCallback =
    Option<unsafe extern "C" fn(stream: virStreamPtr, events: c_int, opaque: *mut c_void)>;
pub type virErrorLevel = c_uint;
pub const VIR_ERR_NONE: virErrorLevel = 0;
pub const VIR_ERR_WARNING: virErrorLevel = 1;
pub const VIR_ERR_ERROR: virErrorLevel = 2;
pub type virErrorDomain = c_uint;
pub const VIR_FROM_NONE: virErrorDomain = 0;
pub const VIR_FROM_XEN: virErrorDomain = 1;
pub const VIR_FROM_XEND: virErrorDomain = 2;
pub const VIR_FROM_XENSTORE: virErrorDomain = 3;
pub const VIR_FROM_SEXPR: virErrorDomain = 4;
pub const VIR_FROM_XML: virErrorDomain = 5;
pub const VIR_FROM_DOM: virErrorDomain = 6;
pub const VIR_FROM_RPC: virErrorDomain = 7;
pub const VIR_FROM_PROXY: virErrorDomain = 8;
pub const VIR_FROM_CONF: virErrorDomain = 9;
pub const VIR_FROM_QEMU: virErrorDomain = 10;
pub const VIR_FROM_NET: virErrorDomain = 11;
pub const VIR_FROM_TEST: virErrorDomain = 12;
pub const VIR_FROM_REMOTE: virErrorDomain = 13;
pub const VIR_FROM_OPENVZ: virErrorDomain = 14;
pub const VIR_FROM_XENXM: virErrorDomain = 15;
pub const VIR_FROM_STATS_LINUX: virErrorDomain = 16;
pub const VIR_FROM_LXC: virErrorDomain = 17;
pub const VIR_FROM_STORAGE: virErrorDomain = 18;
pub const VIR_FROM_NETWORK: virErrorDomain = 19;
pub const VIR_FROM_DOMAIN: virErrorDomain = 20;
pub const VIR_FROM_UML: virErrorDomain = 21;
pub const VIR_FROM_NODEDEV: virErrorDomain = 22;
pub const VIR_FROM_XEN_INOTIFY: virErrorDomain = 23;
pub const VIR_FROM_SECURITY: virErrorDomain = 24;
pub const VIR_FROM_VBOX: virErrorDomain = 25;
pub const VIR_FROM_INTERFACE: virErrorDomain = 26;
pub const VIR_FROM_ONE: virErrorDomain = 27;
pub const VIR_FROM_ESX: virErrorDomain = 28;
pub const VIR_FROM_PHYP: virErrorDomain = 29;
pub const VIR_FROM_SECRET: virErrorDomain = 30;
pub const VIR_FROM_CPU: virErrorDomain = 31;
pub const VIR_FROM_XENAPI: virErrorDomain = 32;
pub const VIR_FROM_NWFILTER: virErrorDomain = 33;
pub const VIR_FROM_HOOK: virErrorDomain = 34;
pub const VIR_FROM_DOMAIN_SNAPSHOT: virErrorDomain = 35;
pub const VIR_FROM_AUDIT: virErrorDomain = 36;
pub const VIR_FROM_SYSINFO: virErrorDomain = 37;
pub const VIR_FROM_STREAMS: virErrorDomain = 38;
pub const VIR_FROM_VMWARE: virErrorDomain = 39;
pub const VIR_FROM_EVENT: virErrorDomain = 40;
pub const VIR_FROM_LIBXL: virErrorDomain = 41;
pub const VIR_FROM_LOCKING: virErrorDomain = 42;
pub const VIR_FROM_HYPERV: virErrorDomain = 43;
pub const VIR_FROM_CAPABILITIES: virErrorDomain = 44;
pub const VIR_FROM_URI: virErrorDomain = 45;
pub const VIR_FROM_AUTH: virErrorDomain = 46;
pub const VIR_FROM_DBUS: virErrorDomain = 47;
pub const VIR_FROM_PARALLELS: virErrorDomain = 48;
pub const VIR_FROM_DEVICE: virErrorDomain = 49;
pub const VIR_FROM_SSH: virErrorDomain = 50;
pub const VIR_FROM_LOCKSPACE: virErrorDomain = 51;
pub const VIR_FROM_INITCTL: virErrorDomain = 52;
pub const VIR_FROM_IDENTITY: virErrorDomain = 53;
pub const VIR_FROM_CGROUP: virErrorDomain = 54;
pub const VIR_FROM_ACCESS: virErrorDomain = 55;
pub const VIR_FROM_SYSTEMD: virErrorDomain = 56;
pub const VIR_FROM_BHYVE: virErrorDomain = 57;
pub const VIR_FROM_CRYPTO: virErrorDomain = 58;
pub const VIR_FROM_FIREWALL: virErrorDomain = 59;
pub const VIR_FROM_POLKIT: virErrorDomain = 60;
pub const VIR_FROM_THREAD: virErrorDomain = 61;
pub const VIR_FROM_ADMIN: virErrorDomain = 62;
pub const VIR_FROM_LOGGING: virErrorDomain = 63;
pub const VIR_FROM_XENXL: virErrorDomain = 64;
pub const VIR_FROM_PERF: virErrorDomain = 65;
pub const VIR_FROM_LIBSSH: virErrorDomain = 66;
pub const VIR_FROM_RESCTRL: virErrorDomain = 67;
pub const VIR_FROM_FIREWALLD: virErrorDomain = 68;
pub const VIR_FROM_DOMAIN_CHECKPOINT: virErrorDomain = 69;
pub const VIR_FROM_TPM: virErrorDomain = 70;
pub const VIR_FROM_BPF: virErrorDomain = 71;
pub const VIR_FROM_CH: virErrorDomain = 72;
pub type virError = _virError;
pub type virErrorPtr = *mut virError;
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct _virError {
    pub code: c_int,
    pub domain: c_int,
    pub message: *mut c_char,
    pub level: virErrorLevel,
    pub conn: virConnectPtr,
    pub dom: virDomainPtr,
    pub str1: *mut c_char,
    pub str2: *mut c_char,
    pub str3: *mut c_char,
    pub int1: c_int,
    pub int2: c_int,
    pub net: virNetworkPtr,
}
pub type virErrorNumber = c_uint;
pub const VIR_ERR_OK: virErrorNumber = 0;
pub const VIR_ERR_INTERNAL_ERROR: virErrorNumber = 1;
pub const VIR_ERR_NO_MEMORY: virErrorNumber = 2;
pub const VIR_ERR_NO_SUPPORT: virErrorNumber = 3;
pub const VIR_ERR_UNKNOWN_HOST: virErrorNumber = 4;
pub const VIR_ERR_NO_CONNECT: virErrorNumber = 5;
pub const VIR_ERR_INVALID_CONN: virErrorNumber = 6;
pub const VIR_ERR_INVALID_DOMAIN: virErrorNumber = 7;
pub const VIR_ERR_INVALID_ARG: virErrorNumber = 8;
pub const VIR_ERR_OPERATION_FAILED: virErrorNumber = 9;
pub const VIR_ERR_GET_FAILED: virErrorNumber = 10;
pub const VIR_ERR_POST_FAILED: virErrorNumber = 11;
pub const VIR_ERR_HTTP_ERROR: virErrorNumber = 12;
pub const VIR_ERR_SEXPR_SERIAL: virErrorNumber = 13;
pub const VIR_ERR_NO_XEN: virErrorNumber = 14;
pub const VIR_ERR_XEN_CALL: virErrorNumber = 15;
pub const VIR_ERR_OS_TYPE: virErrorNumber = 16;
pub const VIR_ERR_NO_KERNEL: virErrorNumber = 17;
pub const VIR_ERR_NO_ROOT: virErrorNumber = 18;
pub const VIR_ERR_NO_SOURCE: virErrorNumber = 19;
pub const VIR_ERR_NO_TARGET: virErrorNumber = 20;
pub const VIR_ERR_NO_NAME: virErrorNumber = 21;
pub const VIR_ERR_NO_OS: virErrorNumber = 22;
pub const VIR_ERR_NO_DEVICE: virErrorNumber = 23;
pub const VIR_ERR_NO_XENSTORE: virErrorNumber = 24;
pub const VIR_ERR_DRIVER_FULL: virErrorNumber = 25;
pub const VIR_ERR_CALL_FAILED: virErrorNumber = 26;
pub const VIR_ERR_XML_ERROR: virErrorNumber = 27;
pub const VIR_ERR_DOM_EXIST: virErrorNumber = 28;
pub const VIR_ERR_OPERATION_DENIED: virErrorNumber = 29;
pub const VIR_ERR_OPEN_FAILED: virErrorNumber = 30;
pub const VIR_ERR_READ_FAILED: virErrorNumber = 31;
pub const VIR_ERR_PARSE_FAILED: virErrorNumber = 32;
pub const VIR_ERR_CONF_SYNTAX: virErrorNumber = 33;
pub const VIR_ERR_WRITE_FAILED: virErrorNumber = 34;
pub const VIR_ERR_XML_DETAIL: virErrorNumber = 35;
pub const VIR_ERR_INVALID_NETWORK: virErrorNumber = 36;
pub const VIR_ERR_NETWORK_EXIST: virErrorNumber = 37;
pub const VIR_ERR_SYSTEM_ERROR: virErrorNumber = 38;
pub const VIR_ERR_RPC: virErrorNumber = 39;
pub const VIR_ERR_GNUTLS_ERROR: virErrorNumber = 40;
pub const VIR_WAR_NO_NETWORK: virErrorNumber = 41;
pub const VIR_ERR_NO_DOMAIN: virErrorNumber = 42;
pub const VIR_ERR_NO_NETWORK: virErrorNumber = 43;
pub const VIR_ERR_INVALID_MAC: virErrorNumber = 44;
pub const VIR_ERR_AUTH_FAILED: virErrorNumber = 45;
pub const VIR_ERR_INVALID_STORAGE_POOL: virErrorNumber = 46;
pub const VIR_ERR_INVALID_STORAGE_VOL: virErrorNumber = 47;
pub const VIR_WAR_NO_STORAGE: virErrorNumber = 48;
pub const VIR_ERR_NO_STORAGE_POOL: virErrorNumber = 49;
pub const VIR_ERR_NO_STORAGE_VOL: virErrorNumber = 50;
pub const VIR_WAR_NO_NODE: virErrorNumber = 51;
pub const VIR_ERR_INVALID_NODE_DEVICE: virErrorNumber = 52;
pub const VIR_ERR_NO_NODE_DEVICE: virErrorNumber = 53;
pub const VIR_ERR_NO_SECURITY_MODEL: virErrorNumber = 54;
pub const VIR_ERR_OPERATION_INVALID: virErrorNumber = 55;
pub const VIR_WAR_NO_INTERFACE: virErrorNumber = 56;
pub const VIR_ERR_NO_INTERFACE: virErrorNumber = 57;
pub const VIR_ERR_INVALID_INTERFACE: virErrorNumber = 58;
pub const VIR_ERR_MULTIPLE_INTERFACES: virErrorNumber = 59;
pub const VIR_WAR_NO_NWFILTER: virErrorNumber = 60;
pub const VIR_ERR_INVALID_NWFILTER: virErrorNumber = 61;
pub const VIR_ERR_NO_NWFILTER: virErrorNumber = 62;
pub const VIR_ERR_BUILD_FIREWALL: virErrorNumber = 63;
pub const VIR_WAR_NO_SECRET: virErrorNumber = 64;
pub const VIR_ERR_INVALID_SECRET: virErrorNumber = 65;
pub const VIR_ERR_NO_SECRET: virErrorNumber = 66;
pub const VIR_ERR_CONFIG_UNSUPPORTED: virErrorNumber = 67;
pub const VIR_ERR_OPERATION_TIMEOUT: virErrorNumber = 68;
pub const VIR_ERR_MIGRATE_PERSIST_FAILED: virErrorNumber = 69;
pub const VIR_ERR_HOOK_SCRIPT_FAILED: virErrorNumber = 70;
pub const VIR_ERR_INVALID_DOMAIN_SNAPSHOT: virErrorNumber = 71;
pub const VIR_ERR_NO_DOMAIN_SNAPSHOT: virErrorNumber = 72;
pub const VIR_ERR_INVALID_STREAM: virErrorNumber = 73;
pub const VIR_ERR_ARGUMENT_UNSUPPORTED: virErrorNumber = 74;
pub const VIR_ERR_STORAGE_PROBE_FAILED: virErrorNumber = 75;
pub const VIR_ERR_STORAGE_POOL_BUILT: virErrorNumber = 76;
pub const VIR_ERR_SNAPSHOT_REVERT_RISKY: virErrorNumber = 77;
pub const VIR_ERR_OPERATION_ABORTED: virErrorNumber = 78;
pub const VIR_ERR_AUTH_CANCELLED: virErrorNumber = 79;
pub const VIR_ERR_NO_DOMAIN_METADATA: virErrorNumber = 80;
pub const VIR_ERR_MIGRATE_UNSAFE: virErrorNumber = 81;
pub const VIR_ERR_OVERFLOW: virErrorNumber = 82;
pub const VIR_ERR_BLOCK_COPY_ACTIVE: virErrorNumber = 83;
pub const VIR_ERR_OPERATION_UNSUPPORTED: virErrorNumber = 84;
pub const VIR_ERR_SSH: virErrorNumber = 85;
pub const VIR_ERR_AGENT_UNRESPONSIVE: virErrorNumber = 86;
pub const VIR_ERR_RESOURCE_BUSY: virErrorNumber = 87;
pub const VIR_ERR_ACCESS_DENIED: virErrorNumber = 88;
pub const VIR_ERR_DBUS_SERVICE: virErrorNumber = 89;
pub const VIR_ERR_STORAGE_VOL_EXIST: virErrorNumber = 90;
pub const VIR_ERR_CPU_INCOMPATIBLE: virErrorNumber = 91;
pub const VIR_ERR_XML_INVALID_SCHEMA: virErrorNumber = 92;
pub const VIR_ERR_MIGRATE_FINISH_OK: virErrorNumber = 93;
pub const VIR_ERR_AUTH_UNAVAILABLE: virErrorNumber = 94;
pub const VIR_ERR_NO_SERVER: virErrorNumber = 95;
pub const VIR_ERR_NO_CLIENT: virErrorNumber = 96;
pub const VIR_ERR_AGENT_UNSYNCED: virErrorNumber = 97;
pub const VIR_ERR_LIBSSH: virErrorNumber = 98;
pub const VIR_ERR_DEVICE_MISSING: virErrorNumber = 99;
pub const VIR_ERR_INVALID_NWFILTER_BINDING: virErrorNumber = 100;
pub const VIR_ERR_NO_NWFILTER_BINDING: virErrorNumber = 101;
pub const VIR_ERR_INVALID_DOMAIN_CHECKPOINT: virErrorNumber = 102;
pub const VIR_ERR_NO_DOMAIN_CHECKPOINT: virErrorNumber = 103;
pub const VIR_ERR_NO_DOMAIN_BACKUP: virErrorNumber = 104;
pub const VIR_ERR_INVALID_NETWORK_PORT: virErrorNumber = 105;
pub const VIR_ERR_NETWORK_PORT_EXIST: virErrorNumber = 106;
pub const VIR_ERR_NO_NETWORK_PORT: virErrorNumber = 107;
pub const VIR_ERR_NO_HOSTNAME: virErrorNumber = 108;
pub const VIR_ERR_CHECKPOINT_INCONSISTENT: virErrorNumber = 109;
pub const VIR_ERR_MULTIPLE_DOMAINS: virErrorNumber = 110;
pub type virErrorFunc = Option<unsafe extern "C" fn(userData: *mut c_void, error: virErrorPtr)>;
pub type virDomainQemuMonitorCommandFlags = c_uint;
pub const VIR_DOMAIN_QEMU_MONITOR_COMMAND_DEFAULT: virDomainQemuMonitorCommandFlags = 0;
pub const VIR_DOMAIN_QEMU_MONITOR_COMMAND_HMP: virDomainQemuMonitorCommandFlags = 1;
pub type virDomainQemuAgentCommandTimeoutValues = c_int;
pub const VIR_DOMAIN_QEMU_AGENT_COMMAND_MIN: virDomainQemuAgentCommandTimeoutValues = -2;
pub const VIR_DOMAIN_QEMU_AGENT_COMMAND_BLOCK: virDomainQemuAgentCommandTimeoutValues = -2;
pub const VIR_DOMAIN_QEMU_AGENT_COMMAND_DEFAULT: virDomainQemuAgentCommandTimeoutValues = -1;
pub const VIR_DOMAIN_QEMU_AGENT_COMMAND_NOWAIT: virDomainQemuAgentCommandTimeoutValues = 0;
pub const VIR_DOMAIN_QEMU_AGENT_COMMAND_SHUTDOWN: virDomainQemuAgentCommandTimeoutValues = 60;
pub type virConnectDomainQemuMonitorEventCallback = Option<
    unsafe extern "C" fn(
        conn: virConnectPtr,
        dom: virDomainPtr,
        event: *const c_char,
        seconds: c_longlong,
        micros: c_uint,
        details: *const c_char,
        opaque: *mut c_void,
    ),
>;
pub type virConnectDomainQemuMonitorEventRegisterFlags = c_uint;
pub const VIR_CONNECT_DOMAIN_QEMU_MONITOR_EVENT_REGISTER_REGEX:
    virConnectDomainQemuMonitorEventRegisterFlags = 1;
pub const VIR_CONNECT_DOMAIN_QEMU_MONITOR_EVENT_REGISTER_NOCASE:
    virConnectDomainQemuMonitorEventRegisterFlags = 2;
pub type _virTypedParameterValue = _virTypedParameter__bindgen_ty_1;

forward! {
    from LIBVIRT;
    virConnCopyLastError(conn: virConnectPtr, to: virErrorPtr) -> c_int = -1;
    virConnGetLastError(conn: virConnectPtr) -> virErrorPtr = null_mut();
    virConnResetLastError(conn: virConnectPtr) -> () = ();
    virConnSetErrorFunc(conn: virConnectPtr, userData: *mut c_void, handler: virErrorFunc) -> () = ();
    virConnectBaselineCPU(conn: virConnectPtr, xmlCPUs: *mut *const c_char, ncpus: c_uint, flags: c_uint) -> *mut c_char = null_mut();
    virConnectBaselineHypervisorCPU(conn: virConnectPtr, emulator: *const c_char, arch: *const c_char, machine: *const c_char, virttype: *const c_char, xmlCPUs: *mut *const c_char, ncpus: c_uint, flags: c_uint) -> *mut c_char = null_mut();
    virConnectClose(conn: virConnectPtr) -> c_int = -1;
    virConnectCompareCPU(conn: virConnectPtr, xmlDesc: *const c_char, flags: c_uint) -> c_int = -1;
    virConnectCompareHypervisorCPU(conn: virConnectPtr, emulator: *const c_char, arch: *const c_char, machine: *const c_char, virttype: *const c_char, xmlCPU: *const c_char, flags: c_uint) -> c_int = -1;
    virConnectDomainEventDeregister(conn: virConnectPtr, cb: virConnectDomainEventCallback) -> c_int = -1;
    virConnectDomainEventDeregisterAny(conn: virConnectPtr, callbackID: c_int) -> c_int = -1;
    virConnectDomainEventRegister(conn: virConnectPtr, cb: virConnectDomainEventCallback, opaque: *mut c_void, freecb: virFreeCallback) -> c_int = -1;
    virConnectDomainEventRegisterAny(conn: virConnectPtr, dom: virDomainPtr, eventID: c_int, cb: virConnectDomainEventGenericCallback, opaque: *mut c_void, freecb: virFreeCallback) -> c_int = -1;
    virConnectDomainXMLFromNative(conn: virConnectPtr, nativeFormat: *const c_char, nativeConfig: *const c_char, flags: c_uint) -> *mut c_char = null_mut();
    virConnectDomainXMLToNative(conn: virConnectPtr, nativeFormat: *const c_char, domainXml: *const c_char, flags: c_uint) -> *mut c_char = null_mut();
    virConnectFindStoragePoolSources(conn: virConnectPtr, type_: *const c_char, srcSpec: *const c_char, flags: c_uint) -> *mut c_char = null_mut();
    virConnectGetAllDomainStats(conn: virConnectPtr, stats: c_uint, retStats: *mut *mut virDomainStatsRecordPtr, flags: c_uint) -> c_int = -1;
    virConnectGetCPUModelNames(conn: virConnectPtr, arch: *const c_char, models: *mut *mut *mut c_char, flags: c_uint) -> c_int = -1;
    virConnectGetCapabilities(conn: virConnectPtr) -> *mut c_char = null_mut();
    virConnectGetDomainCapabilities(conn: virConnectPtr, emulatorbin: *const c_char, arch: *const c_char, machine: *const c_char, virttype: *const c_char, flags: c_uint) -> *mut c_char = null_mut();
    virConnectGetHostname(conn: virConnectPtr) -> *mut c_char = null_mut();
    virConnectGetLibVersion(conn: virConnectPtr, libVer: *mut c_ulong) -> c_int = -1;
    virConnectGetMaxVcpus(conn: virConnectPtr, type_: *const c_char) -> c_int = -1;
    virConnectGetStoragePoolCapabilities(conn: virConnectPtr, flags: c_uint) -> *mut c_char = null_mut();
    virConnectGetSysinfo(conn: virConnectPtr, flags: c_uint) -> *mut c_char = null_mut();
    virConnectGetType(conn: virConnectPtr) -> *const c_char = null();
    virConnectGetURI(conn: virConnectPtr) -> *mut c_char = null_mut();
    virConnectGetVersion(conn: virConnectPtr, hvVer: *mut c_ulong) -> c_int = -1;
    virConnectIsAlive(conn: virConnectPtr) -> c_int = -1;
    virConnectIsEncrypted(conn: virConnectPtr) -> c_int = -1;
    virConnectIsSecure(conn: virConnectPtr) -> c_int = -1;
    virConnectListAllDomains(conn: virConnectPtr, domains: *mut *mut virDomainPtr, flags: c_uint) -> c_int = -1;
    virConnectListAllInterfaces(conn: virConnectPtr, ifaces: *mut *mut virInterfacePtr, flags: c_uint) -> c_int = -1;
    virConnectListAllNWFilterBindings(conn: virConnectPtr, bindings: *mut *mut virNWFilterBindingPtr, flags: c_uint) -> c_int = -1;
    virConnectListAllNWFilters(conn: virConnectPtr, filters: *mut *mut virNWFilterPtr, flags: c_uint) -> c_int = -1;
    virConnectListAllNetworks(conn: virConnectPtr, nets: *mut *mut virNetworkPtr, flags: c_uint) -> c_int = -1;
    virConnectListAllNodeDevices(conn: virConnectPtr, devices: *mut *mut virNodeDevicePtr, flags: c_uint) -> c_int = -1;
    virConnectListAllSecrets(conn: virConnectPtr, secrets: *mut *mut virSecretPtr, flags: c_uint) -> c_int = -1;
    virConnectListAllStoragePools(conn: virConnectPtr, pools: *mut *mut virStoragePoolPtr, flags: c_uint) -> c_int = -1;
    virConnectListDefinedDomains(conn: virConnectPtr, names: *mut *mut c_char, maxnames: c_int) -> c_int = -1;
    virConnectListDefinedInterfaces(conn: virConnectPtr, names: *mut *mut c_char, maxnames: c_int) -> c_int = -1;
    virConnectListDefinedNetworks(conn: virConnectPtr, names: *mut *mut c_char, maxnames: c_int) -> c_int = -1;
    virConnectListDefinedStoragePools(conn: virConnectPtr, names: *mut *mut c_char, maxnames: c_int) -> c_int = -1;
    virConnectListDomains(conn: virConnectPtr, ids: *mut c_int, maxids: c_int) -> c_int = -1;
    virConnectListInterfaces(conn: virConnectPtr, names: *mut *mut c_char, maxnames: c_int) -> c_int = -1;
    virConnectListNWFilters(conn: virConnectPtr, names: *mut *mut c_char, maxnames: c_int) -> c_int = -1;
    virConnectListNetworks(conn: virConnectPtr, names: *mut *mut c_char, maxnames: c_int) -> c_int = -1;
    virConnectListSecrets(conn: virConnectPtr, uuids: *mut *mut c_char, maxuuids: c_int) -> c_int = -1;
    virConnectListStoragePools(conn: virConnectPtr, names: *mut *mut c_char, maxnames: c_int) -> c_int = -1;
    virConnectNetworkEventDeregisterAny(conn: virConnectPtr, callbackID: c_int) -> c_int = -1;
    virConnectNetworkEventRegisterAny(conn: virConnectPtr, net: virNetworkPtr, eventID: c_int, cb: virConnectNetworkEventGenericCallback, opaque: *mut c_void, freecb: virFreeCallback) -> c_int = -1;
    virConnectNodeDeviceEventDeregisterAny(conn: virConnectPtr, callbackID: c_int) -> c_int = -1;
    virConnectNodeDeviceEventRegisterAny(conn: virConnectPtr, dev: virNodeDevicePtr, eventID: c_int, cb: virConnectNodeDeviceEventGenericCallback, opaque: *mut c_void, freecb: virFreeCallback) -> c_int = -1;
    virConnectNumOfDefinedDomains(conn: virConnectPtr) -> c_int = -1;
    virConnectNumOfDefinedInterfaces(conn: virConnectPtr) -> c_int = -1;
    virConnectNumOfDefinedNetworks(conn: virConnectPtr) -> c_int = -1;
    virConnectNumOfDefinedStoragePools(conn: virConnectPtr) -> c_int = -1;
    virConnectNumOfDomains(conn: virConnectPtr) -> c_int = -1;
    virConnectNumOfInterfaces(conn: virConnectPtr) -> c_int = -1;
    virConnectNumOfNWFilters(conn: virConnectPtr) -> c_int = -1;
    virConnectNumOfNetworks(conn: virConnectPtr) -> c_int = -1;
    virConnectNumOfSecrets(conn: virConnectPtr) -> c_int = -1;
    virConnectNumOfStoragePools(conn: virConnectPtr) -> c_int = -1;
    virConnectOpen(name: *const c_char) -> virConnectPtr = null_mut();
    virConnectOpenAuth(name: *const c_char, auth: virConnectAuthPtr, flags: c_uint) -> virConnectPtr = null_mut();
    virConnectOpenReadOnly(name: *const c_char) -> virConnectPtr = null_mut();
    virConnectRef(conn: virConnectPtr) -> c_int = -1;
    virConnectRegisterCloseCallback(conn: virConnectPtr, cb: virConnectCloseFunc, opaque: *mut c_void, freecb: virFreeCallback) -> c_int = -1;
    virConnectSecretEventDeregisterAny(conn: virConnectPtr, callbackID: c_int) -> c_int = -1;
    virConnectSecretEventRegisterAny(conn: virConnectPtr, secret: virSecretPtr, eventID: c_int, cb: virConnectSecretEventGenericCallback, opaque: *mut c_void, freecb: virFreeCallback) -> c_int = -1;
    virConnectSetIdentity(conn: virConnectPtr, params: virTypedParameterPtr, nparams: c_int, flags: c_uint) -> c_int = -1;
    virConnectSetKeepAlive(conn: virConnectPtr, interval: c_int, count: c_uint) -> c_int = -1;
    virConnectStoragePoolEventDeregisterAny(conn: virConnectPtr, callbackID: c_int) -> c_int = -1;
    virConnectStoragePoolEventRegisterAny(conn: virConnectPtr, pool: virStoragePoolPtr, eventID: c_int, cb: virConnectStoragePoolEventGenericCallback, opaque: *mut c_void, freecb: virFreeCallback) -> c_int = -1;
    virConnectUnregisterCloseCallback(conn: virConnectPtr, cb: virConnectCloseFunc) -> c_int = -1;
    virCopyLastError(to: virErrorPtr) -> c_int = -1;
    virDefaultErrorFunc(err: virErrorPtr) -> () = ();
    virDomainAbortJob(dom: virDomainPtr) -> c_int = -1;
    virDomainAbortJobFlags(dom: virDomainPtr, flags: c_uint) -> c_int = -1;
    virDomainAddIOThread(domain: virDomainPtr, iothread_id: c_uint, flags: c_uint) -> c_int = -1;
    virDomainAgentSetResponseTimeout(domain: virDomainPtr, timeout: c_int, flags: c_uint) -> c_int = -1;
    virDomainAttachDevice(domain: virDomainPtr, xml: *const c_char) -> c_int = -1;
    virDomainAttachDeviceFlags(domain: virDomainPtr, xml: *const c_char, flags: c_uint) -> c_int = -1;
    virDomainAuthorizedSSHKeysGet(domain: virDomainPtr, user: *const c_char, keys: *mut *mut *mut c_char, flags: c_uint) -> c_int = -1;
    virDomainAuthorizedSSHKeysSet(domain: virDomainPtr, user: *const c_char, keys: *mut *const c_char, nkeys: c_uint, flags: c_uint) -> c_int = -1;
    virDomainBackupBegin(domain: virDomainPtr, backupXML: *const c_char, checkpointXML: *const c_char, flags: c_uint) -> c_int = -1;
    virDomainBackupGetXMLDesc(domain: virDomainPtr, flags: c_uint) -> *mut c_char = null_mut();
    virDomainBlockCommit(dom: virDomainPtr, disk: *const c_char, base: *const c_char, top: *const c_char, bandwidth: c_ulong, flags: c_uint) -> c_int = -1;
    virDomainBlockCopy(dom: virDomainPtr, disk: *const c_char, destxml: *const c_char, params: virTypedParameterPtr, nparams: c_int, flags: c_uint) -> c_int = -1;
    virDomainBlockJobAbort(dom: virDomainPtr, disk: *const c_char, flags: c_uint) -> c_int = -1;
    virDomainBlockJobSetSpeed(dom: virDomainPtr, disk: *const c_char, bandwidth: c_ulong, flags: c_uint) -> c_int = -1;
    virDomainBlockPeek(dom: virDomainPtr, disk: *const c_char, offset: c_ulonglong, size: usize, buffer: *mut c_void, flags: c_uint) -> c_int = -1;
    virDomainBlockPull(dom: virDomainPtr, disk: *const c_char, bandwidth: c_ulong, flags: c_uint) -> c_int = -1;
    virDomainBlockRebase(dom: virDomainPtr, disk: *const c_char, base: *const c_char, bandwidth: c_ulong, flags: c_uint) -> c_int = -1;
    virDomainBlockResize(dom: virDomainPtr, disk: *const c_char, size: c_ulonglong, flags: c_uint) -> c_int = -1;
    virDomainBlockStats(dom: virDomainPtr, disk: *const c_char, stats: virDomainBlockStatsPtr, size: usize) -> c_int = -1;
    virDomainBlockStatsFlags(dom: virDomainPtr, disk: *const c_char, params: virTypedParameterPtr, nparams: *mut c_int, flags: c_uint) -> c_int = -1;
    virDomainCheckpointCreateXML(domain: virDomainPtr, xmlDesc: *const c_char, flags: c_uint) -> virDomainCheckpointPtr = null_mut();
    virDomainCheckpointDelete(checkpoint: virDomainCheckpointPtr, flags: c_uint) -> c_int = -1;
    virDomainCheckpointFree(checkpoint: virDomainCheckpointPtr) -> c_int = -1;
    virDomainCheckpointGetConnect(checkpoint: virDomainCheckpointPtr) -> virConnectPtr = null_mut();
    virDomainCheckpointGetDomain(checkpoint: virDomainCheckpointPtr) -> virDomainPtr = null_mut();
    virDomainCheckpointGetName(checkpoint: virDomainCheckpointPtr) -> *const c_char = null();
    virDomainCheckpointGetParent(checkpoint: virDomainCheckpointPtr, flags: c_uint) -> virDomainCheckpointPtr = null_mut();
    virDomainCheckpointGetXMLDesc(checkpoint: virDomainCheckpointPtr, flags: c_uint) -> *mut c_char = null_mut();
    virDomainCheckpointListAllChildren(checkpoint: virDomainCheckpointPtr, children: *mut *mut virDomainCheckpointPtr, flags: c_uint) -> c_int = -1;
    virDomainCheckpointLookupByName(domain: virDomainPtr, name: *const c_char, flags: c_uint) -> virDomainCheckpointPtr = null_mut();
    virDomainCheckpointRef(checkpoint: virDomainCheckpointPtr) -> c_int = -1;
    virDomainCoreDump(domain: virDomainPtr, to: *const c_char, flags: c_uint) -> c_int = -1;
    virDomainCoreDumpWithFormat(domain: virDomainPtr, to: *const c_char, dumpformat: c_uint, flags: c_uint) -> c_int = -1;
    virDomainCreate(domain: virDomainPtr) -> c_int = -1;
    virDomainCreateLinux(conn: virConnectPtr, xmlDesc: *const c_char, flags: c_uint) -> virDomainPtr = null_mut();
    virDomainCreateWithFiles(domain: virDomainPtr, nfiles: c_uint, files: *mut c_int, flags: c_uint) -> c_int = -1;
    virDomainCreateWithFlags(domain: virDomainPtr, flags: c_uint) -> c_int = -1;
    virDomainCreateXML(conn: virConnectPtr, xmlDesc: *const c_char, flags: c_uint) -> virDomainPtr = null_mut();
    virDomainCreateXMLWithFiles(conn: virConnectPtr, xmlDesc: *const c_char, nfiles: c_uint, files: *mut c_int, flags: c_uint) -> virDomainPtr = null_mut();
    virDomainDefineXML(conn: virConnectPtr, xml: *const c_char) -> virDomainPtr = null_mut();
    virDomainDefineXMLFlags(conn: virConnectPtr, xml: *const c_char, flags: c_uint) -> virDomainPtr = null_mut();
    virDomainDelIOThread(domain: virDomainPtr, iothread_id: c_uint, flags: c_uint) -> c_int = -1;
    virDomainDestroy(domain: virDomainPtr) -> c_int = -1;
    virDomainDestroyFlags(domain: virDomainPtr, flags: c_uint) -> c_int = -1;
    virDomainDetachDevice(domain: virDomainPtr, xml: *const c_char) -> c_int = -1;
    virDomainDetachDeviceAlias(domain: virDomainPtr, alias: *const c_char, flags: c_uint) -> c_int = -1;
    virDomainDetachDeviceFlags(domain: virDomainPtr, xml: *const c_char, flags: c_uint) -> c_int = -1;
    virDomainFDAssociate(domain: virDomainPtr, name: *const c_char, nfds: c_uint, fds: *mut c_int, flags: c_uint) -> c_int = -1;
    virDomainFSFreeze(dom: virDomainPtr, mountpoints: *mut *const c_char, nmountpoints: c_uint, flags: c_uint) -> c_int = -1;
    virDomainFSInfoFree(info: virDomainFSInfoPtr) -> () = ();
    virDomainFSThaw(dom: virDomainPtr, mountpoints: *mut *const c_char, nmountpoints: c_uint, flags: c_uint) -> c_int = -1;
    virDomainFSTrim(dom: virDomainPtr, mountPoint: *const c_char, minimum: c_ulonglong, flags: c_uint) -> c_int = -1;
    virDomainFree(domain: virDomainPtr) -> c_int = -1;
    virDomainGetAutostart(domain: virDomainPtr, autostart: *mut c_int) -> c_int = -1;
    virDomainGetBlkioParameters(domain: virDomainPtr, params: virTypedParameterPtr, nparams: *mut c_int, flags: c_uint) -> c_int = -1;
    virDomainGetBlockInfo(dom: virDomainPtr, disk: *const c_char, info: virDomainBlockInfoPtr, flags: c_uint) -> c_int = -1;
    virDomainGetBlockIoTune(dom: virDomainPtr, disk: *const c_char, params: virTypedParameterPtr, nparams: *mut c_int, flags: c_uint) -> c_int = -1;
    virDomainGetBlockJobInfo(dom: virDomainPtr, disk: *const c_char, info: virDomainBlockJobInfoPtr, flags: c_uint) -> c_int = -1;
    virDomainGetCPUStats(domain: virDomainPtr, params: virTypedParameterPtr, nparams: c_uint, start_cpu: c_int, ncpus: c_uint, flags: c_uint) -> c_int = -1;
    virDomainGetConnect(domain: virDomainPtr) -> virConnectPtr = null_mut();
    virDomainGetControlInfo(domain: virDomainPtr, info: virDomainControlInfoPtr, flags: c_uint) -> c_int = -1;
    virDomainGetDiskErrors(dom: virDomainPtr, errors: virDomainDiskErrorPtr, maxerrors: c_uint, flags: c_uint) -> c_int = -1;
    virDomainGetEmulatorPinInfo(domain: virDomainPtr, cpumaps: *mut c_uchar, maplen: c_int, flags: c_uint) -> c_int = -1;
    virDomainGetFSInfo(dom: virDomainPtr, info: *mut *mut virDomainFSInfoPtr, flags: c_uint) -> c_int = -1;
    virDomainGetGuestInfo(domain: virDomainPtr, types: c_uint, params: *mut virTypedParameterPtr, nparams: *mut c_int, flags: c_uint) -> c_int = -1;
    virDomainGetGuestVcpus(domain: virDomainPtr, params: *mut virTypedParameterPtr, nparams: *mut c_uint, flags: c_uint) -> c_int = -1;
    virDomainGetHostname(domain: virDomainPtr, flags: c_uint) -> *mut c_char = null_mut();
    virDomainGetID(domain: virDomainPtr) -> c_uint = c_uint::MAX;
    virDomainGetIOThreadInfo(domain: virDomainPtr, info: *mut *mut virDomainIOThreadInfoPtr, flags: c_uint) -> c_int = -1;
    virDomainGetInfo(domain: virDomainPtr, info: virDomainInfoPtr) -> c_int = -1;
    virDomainGetInterfaceParameters(dom: virDomainPtr, device: *const c_char, params: virTypedParameterPtr, nparams: *mut c_int, flags: c_uint) -> c_int = -1;
    virDomainGetJobInfo(dom: virDomainPtr, info: virDomainJobInfoPtr) -> c_int = -1;
    virDomainGetJobStats(domain: virDomainPtr, type_: *mut c_int, params: *mut virTypedParameterPtr, nparams: *mut c_int, flags: c_uint) -> c_int = -1;
    virDomainGetLaunchSecurityInfo(domain: virDomainPtr, params: *mut virTypedParameterPtr, nparams: *mut c_int, flags: c_uint) -> c_int = -1;
    virDomainGetMaxMemory(domain: virDomainPtr) -> c_ulong = 0;
    virDomainGetMaxVcpus(domain: virDomainPtr) -> c_int = -1;
    virDomainGetMemoryParameters(domain: virDomainPtr, params: virTypedParameterPtr, nparams: *mut c_int, flags: c_uint) -> c_int = -1;
    virDomainGetMessages(domain: virDomainPtr, msgs: *mut *mut *mut c_char, flags: c_uint) -> c_int = -1;
    virDomainGetMetadata(domain: virDomainPtr, type_: c_int, uri: *const c_char, flags: c_uint) -> *mut c_char = null_mut();
    virDomainGetName(domain: virDomainPtr) -> *const c_char = null();
    virDomainGetNumaParameters(domain: virDomainPtr, params: virTypedParameterPtr, nparams: *mut c_int, flags: c_uint) -> c_int = -1;
    virDomainGetOSType(domain: virDomainPtr) -> *mut c_char = null_mut();
    virDomainGetPerfEvents(dom: virDomainPtr, params: *mut virTypedParameterPtr, nparams: *mut c_int, flags: c_uint) -> c_int = -1;
    virDomainGetSchedulerParameters(domain: virDomainPtr, params: virTypedParameterPtr, nparams: *mut c_int) -> c_int = -1;
    virDomainGetSchedulerParametersFlags(domain: virDomainPtr, params: virTypedParameterPtr, nparams: *mut c_int, flags: c_uint) -> c_int = -1;
    virDomainGetSchedulerType(domain: virDomainPtr, nparams: *mut c_int) -> *mut c_char = null_mut();
    virDomainGetSecurityLabel(domain: virDomainPtr, seclabel: virSecurityLabelPtr) -> c_int = -1;
    virDomainGetSecurityLabelList(domain: virDomainPtr, seclabels: *mut virSecurityLabelPtr) -> c_int = -1;
    virDomainGetState(domain: virDomainPtr, state: *mut c_int, reason: *mut c_int, flags: c_uint) -> c_int = -1;
    virDomainGetTime(dom: virDomainPtr, seconds: *mut c_longlong, nseconds: *mut c_uint, flags: c_uint) -> c_int = -1;
    virDomainGetUUID(domain: virDomainPtr, uuid: *mut c_uchar) -> c_int = -1;
    virDomainGetUUIDString(domain: virDomainPtr, buf: *mut c_char) -> c_int = -1;
    virDomainGetVcpuPinInfo(domain: virDomainPtr, ncpumaps: c_int, cpumaps: *mut c_uchar, maplen: c_int, flags: c_uint) -> c_int = -1;
    virDomainGetVcpus(domain: virDomainPtr, info: virVcpuInfoPtr, maxinfo: c_int, cpumaps: *mut c_uchar, maplen: c_int) -> c_int = -1;
    virDomainGetVcpusFlags(domain: virDomainPtr, flags: c_uint) -> c_int = -1;
    virDomainGetXMLDesc(domain: virDomainPtr, flags: c_uint) -> *mut c_char = null_mut();
    virDomainHasCurrentSnapshot(domain: virDomainPtr, flags: c_uint) -> c_int = -1;
    virDomainHasManagedSaveImage(dom: virDomainPtr, flags: c_uint) -> c_int = -1;
    virDomainIOThreadInfoFree(info: virDomainIOThreadInfoPtr) -> () = ();
    virDomainInjectNMI(domain: virDomainPtr, flags: c_uint) -> c_int = -1;
    virDomainInterfaceAddresses(dom: virDomainPtr, ifaces: *mut *mut virDomainInterfacePtr, source: c_uint, flags: c_uint) -> c_int = -1;
    virDomainInterfaceFree(iface: virDomainInterfacePtr) -> () = ();
    virDomainInterfaceStats(dom: virDomainPtr, device: *const c_char, stats: virDomainInterfaceStatsPtr, size: usize) -> c_int = -1;
    virDomainIsActive(dom: virDomainPtr) -> c_int = -1;
    virDomainIsPersistent(dom: virDomainPtr) -> c_int = -1;
    virDomainIsUpdated(dom: virDomainPtr) -> c_int = -1;
    virDomainListAllCheckpoints(domain: virDomainPtr, checkpoints: *mut *mut virDomainCheckpointPtr, flags: c_uint) -> c_int = -1;
    virDomainListAllSnapshots(domain: virDomainPtr, snaps: *mut *mut virDomainSnapshotPtr, flags: c_uint) -> c_int = -1;
    virDomainListGetStats(doms: *mut virDomainPtr, stats: c_uint, retStats: *mut *mut virDomainStatsRecordPtr, flags: c_uint) -> c_int = -1;
    virDomainLookupByID(conn: virConnectPtr, id: c_int) -> virDomainPtr = null_mut();
    virDomainLookupByName(conn: virConnectPtr, name: *const c_char) -> virDomainPtr = null_mut();
    virDomainLookupByUUID(conn: virConnectPtr, uuid: *const c_uchar) -> virDomainPtr = null_mut();
    virDomainLookupByUUIDString(conn: virConnectPtr, uuid: *const c_char) -> virDomainPtr = null_mut();
    virDomainManagedSave(dom: virDomainPtr, flags: c_uint) -> c_int = -1;
    virDomainManagedSaveDefineXML(domain: virDomainPtr, dxml: *const c_char, flags: c_uint) -> c_int = -1;
    virDomainManagedSaveGetXMLDesc(domain: virDomainPtr, flags: c_uint) -> *mut c_char = null_mut();
    virDomainManagedSaveRemove(dom: virDomainPtr, flags: c_uint) -> c_int = -1;
    virDomainMemoryPeek(dom: virDomainPtr, start: c_ulonglong, size: usize, buffer: *mut c_void, flags: c_uint) -> c_int = -1;
    virDomainMemoryStats(dom: virDomainPtr, stats: virDomainMemoryStatPtr, nr_stats: c_uint, flags: c_uint) -> c_int = -1;
    virDomainMigrate(domain: virDomainPtr, dconn: virConnectPtr, flags: c_ulong, dname: *const c_char, uri: *const c_char, bandwidth: c_ulong) -> virDomainPtr = null_mut();
    virDomainMigrate2(domain: virDomainPtr, dconn: virConnectPtr, dxml: *const c_char, flags: c_ulong, dname: *const c_char, uri: *const c_char, bandwidth: c_ulong) -> virDomainPtr = null_mut();
    virDomainMigrate3(domain: virDomainPtr, dconn: virConnectPtr, params: virTypedParameterPtr, nparams: c_uint, flags: c_uint) -> virDomainPtr = null_mut();
    virDomainMigrateGetCompressionCache(domain: virDomainPtr, cacheSize: *mut c_ulonglong, flags: c_uint) -> c_int = -1;
    virDomainMigrateGetMaxDowntime(domain: virDomainPtr, downtime: *mut c_ulonglong, flags: c_uint) -> c_int = -1;
    virDomainMigrateGetMaxSpeed(domain: virDomainPtr, bandwidth: *mut c_ulong, flags: c_uint) -> c_int = -1;
    virDomainMigrateSetCompressionCache(domain: virDomainPtr, cacheSize: c_ulonglong, flags: c_uint) -> c_int = -1;
    virDomainMigrateSetMaxDowntime(domain: virDomainPtr, downtime: c_ulonglong, flags: c_uint) -> c_int = -1;
    virDomainMigrateSetMaxSpeed(domain: virDomainPtr, bandwidth: c_ulong, flags: c_uint) -> c_int = -1;
    virDomainMigrateStartPostCopy(domain: virDomainPtr, flags: c_uint) -> c_int = -1;
    virDomainMigrateToURI(domain: virDomainPtr, duri: *const c_char, flags: c_ulong, dname: *const c_char, bandwidth: c_ulong) -> c_int = -1;
    virDomainMigrateToURI2(domain: virDomainPtr, dconnuri: *const c_char, miguri: *const c_char, dxml: *const c_char, flags: c_ulong, dname: *const c_char, bandwidth: c_ulong) -> c_int = -1;
    virDomainMigrateToURI3(domain: virDomainPtr, dconnuri: *const c_char, params: virTypedParameterPtr, nparams: c_uint, flags: c_uint) -> c_int = -1;
    virDomainOpenChannel(dom: virDomainPtr, name: *const c_char, st: virStreamPtr, flags: c_uint) -> c_int = -1;
    virDomainOpenConsole(dom: virDomainPtr, dev_name: *const c_char, st: virStreamPtr, flags: c_uint) -> c_int = -1;
    virDomainOpenGraphics(dom: virDomainPtr, idx: c_uint, fd: c_int, flags: c_uint) -> c_int = -1;
    virDomainOpenGraphicsFD(dom: virDomainPtr, idx: c_uint, flags: c_uint) -> c_int = -1;
    virDomainPMSuspendForDuration(domain: virDomainPtr, target: c_uint, duration: c_ulonglong, flags: c_uint) -> c_int = -1;
    virDomainPMWakeup(domain: virDomainPtr, flags: c_uint) -> c_int = -1;
    virDomainPinEmulator(domain: virDomainPtr, cpumap: *mut c_uchar, maplen: c_int, flags: c_uint) -> c_int = -1;
    virDomainPinIOThread(domain: virDomainPtr, iothread_id: c_uint, cpumap: *mut c_uchar, maplen: c_int, flags: c_uint) -> c_int = -1;
    virDomainPinVcpu(domain: virDomainPtr, vcpu: c_uint, cpumap: *mut c_uchar, maplen: c_int) -> c_int = -1;
    virDomainPinVcpuFlags(domain: virDomainPtr, vcpu: c_uint, cpumap: *mut c_uchar, maplen: c_int, flags: c_uint) -> c_int = -1;
    virDomainReboot(domain: virDomainPtr, flags: c_uint) -> c_int = -1;
    virDomainRef(domain: virDomainPtr) -> c_int = -1;
    virDomainRename(dom: virDomainPtr, new_name: *const c_char, flags: c_uint) -> c_int = -1;
    virDomainReset(domain: virDomainPtr, flags: c_uint) -> c_int = -1;
    virDomainRestore(conn: virConnectPtr, from: *const c_char) -> c_int = -1;
    virDomainRestoreFlags(conn: virConnectPtr, from: *const c_char, dxml: *const c_char, flags: c_uint) -> c_int = -1;
    virDomainRestoreParams(conn: virConnectPtr, params: virTypedParameterPtr, nparams: c_int, flags: c_uint) -> c_int = -1;
    virDomainResume(domain: virDomainPtr) -> c_int = -1;
    virDomainRevertToSnapshot(snapshot: virDomainSnapshotPtr, flags: c_uint) -> c_int = -1;
    virDomainSave(domain: virDomainPtr, to: *const c_char) -> c_int = -1;
    virDomainSaveFlags(domain: virDomainPtr, to: *const c_char, dxml: *const c_char, flags: c_uint) -> c_int = -1;
    virDomainSaveImageDefineXML(conn: virConnectPtr, file: *const c_char, dxml: *const c_char, flags: c_uint) -> c_int = -1;
    virDomainSaveImageGetXMLDesc(conn: virConnectPtr, file: *const c_char, flags: c_uint) -> *mut c_char = null_mut();
    virDomainSaveParams(domain: virDomainPtr, params: virTypedParameterPtr, nparams: c_int, flags: c_uint) -> c_int = -1;
    virDomainScreenshot(domain: virDomainPtr, stream: virStreamPtr, screen: c_uint, flags: c_uint) -> *mut c_char = null_mut();
    virDomainSendKey(domain: virDomainPtr, codeset: c_uint, holdtime: c_uint, keycodes: *mut c_uint, nkeycodes: c_int, flags: c_uint) -> c_int = -1;
    virDomainSendProcessSignal(domain: virDomainPtr, pid_value: c_longlong, signum: c_uint, flags: c_uint) -> c_int = -1;
    virDomainSetAutostart(domain: virDomainPtr, autostart: c_int) -> c_int = -1;
    virDomainSetBlkioParameters(domain: virDomainPtr, params: virTypedParameterPtr, nparams: c_int, flags: c_uint) -> c_int = -1;
    virDomainSetBlockIoTune(dom: virDomainPtr, disk: *const c_char, params: virTypedParameterPtr, nparams: c_int, flags: c_uint) -> c_int = -1;
    virDomainSetBlockThreshold(domain: virDomainPtr, dev: *const c_char, threshold: c_ulonglong, flags: c_uint) -> c_int = -1;
    virDomainSetGuestVcpus(domain: virDomainPtr, cpumap: *const c_char, state: c_int, flags: c_uint) -> c_int = -1;
    virDomainSetIOThreadParams(domain: virDomainPtr, iothread_id: c_uint, params: virTypedParameterPtr, nparams: c_int, flags: c_uint) -> c_int = -1;
    virDomainSetInterfaceParameters(dom: virDomainPtr, device: *const c_char, params: virTypedParameterPtr, nparams: c_int, flags: c_uint) -> c_int = -1;
    virDomainSetLaunchSecurityState(domain: virDomainPtr, params: virTypedParameterPtr, nparams: c_int, flags: c_uint) -> c_int = -1;
    virDomainSetLifecycleAction(domain: virDomainPtr, type_: c_uint, action: c_uint, flags: c_uint) -> c_int = -1;
    virDomainSetMaxMemory(domain: virDomainPtr, memory: c_ulong) -> c_int = -1;
    virDomainSetMemory(domain: virDomainPtr, memory: c_ulong) -> c_int = -1;
    virDomainSetMemoryFlags(domain: virDomainPtr, memory: c_ulong, flags: c_uint) -> c_int = -1;
    virDomainSetMemoryParameters(domain: virDomainPtr, params: virTypedParameterPtr, nparams: c_int, flags: c_uint) -> c_int = -1;
    virDomainSetMemoryStatsPeriod(domain: virDomainPtr, period: c_int, flags: c_uint) -> c_int = -1;
    virDomainSetMetadata(domain: virDomainPtr, type_: c_int, metadata: *const c_char, key: *const c_char, uri: *const c_char, flags: c_uint) -> c_int = -1;
    virDomainSetNumaParameters(domain: virDomainPtr, params: virTypedParameterPtr, nparams: c_int, flags: c_uint) -> c_int = -1;
    virDomainSetPerfEvents(dom: virDomainPtr, params: virTypedParameterPtr, nparams: c_int, flags: c_uint) -> c_int = -1;
    virDomainSetSchedulerParameters(domain: virDomainPtr, params: virTypedParameterPtr, nparams: c_int) -> c_int = -1;
    virDomainSetSchedulerParametersFlags(domain: virDomainPtr, params: virTypedParameterPtr, nparams: c_int, flags: c_uint) -> c_int = -1;
    virDomainSetTime(dom: virDomainPtr, seconds: c_longlong, nseconds: c_uint, flags: c_uint) -> c_int = -1;
    virDomainSetUserPassword(dom: virDomainPtr, user: *const c_char, password: *const c_char, flags: c_uint) -> c_int = -1;
    virDomainSetVcpu(domain: virDomainPtr, vcpumap: *const c_char, state: c_int, flags: c_uint) -> c_int = -1;
    virDomainSetVcpus(domain: virDomainPtr, nvcpus: c_uint) -> c_int = -1;
    virDomainSetVcpusFlags(domain: virDomainPtr, nvcpus: c_uint, flags: c_uint) -> c_int = -1;
    virDomainShutdown(domain: virDomainPtr) -> c_int = -1;
    virDomainShutdownFlags(domain: virDomainPtr, flags: c_uint) -> c_int = -1;
    virDomainSnapshotCreateXML(domain: virDomainPtr, xmlDesc: *const c_char, flags: c_uint) -> virDomainSnapshotPtr = null_mut();
    virDomainSnapshotCurrent(domain: virDomainPtr, flags: c_uint) -> virDomainSnapshotPtr = null_mut();
    virDomainSnapshotDelete(snapshot: virDomainSnapshotPtr, flags: c_uint) -> c_int = -1;
    virDomainSnapshotFree(snapshot: virDomainSnapshotPtr) -> c_int = -1;
    virDomainSnapshotGetConnect(snapshot: virDomainSnapshotPtr) -> virConnectPtr = null_mut();
    virDomainSnapshotGetDomain(snapshot: virDomainSnapshotPtr) -> virDomainPtr = null_mut();
    virDomainSnapshotGetName(snapshot: virDomainSnapshotPtr) -> *const c_char = null();
    virDomainSnapshotGetParent(snapshot: virDomainSnapshotPtr, flags: c_uint) -> virDomainSnapshotPtr = null_mut();
    virDomainSnapshotGetXMLDesc(snapshot: virDomainSnapshotPtr, flags: c_uint) -> *mut c_char = null_mut();
    virDomainSnapshotHasMetadata(snapshot: virDomainSnapshotPtr, flags: c_uint) -> c_int = -1;
    virDomainSnapshotIsCurrent(snapshot: virDomainSnapshotPtr, flags: c_uint) -> c_int = -1;
    virDomainSnapshotListAllChildren(snapshot: virDomainSnapshotPtr, snaps: *mut *mut virDomainSnapshotPtr, flags: c_uint) -> c_int = -1;
    virDomainSnapshotListChildrenNames(snapshot: virDomainSnapshotPtr, names: *mut *mut c_char, nameslen: c_int, flags: c_uint) -> c_int = -1;
    virDomainSnapshotListNames(domain: virDomainPtr, names: *mut *mut c_char, nameslen: c_int, flags: c_uint) -> c_int = -1;
    virDomainSnapshotLookupByName(domain: virDomainPtr, name: *const c_char, flags: c_uint) -> virDomainSnapshotPtr = null_mut();
    virDomainSnapshotNum(domain: virDomainPtr, flags: c_uint) -> c_int = -1;
    virDomainSnapshotNumChildren(snapshot: virDomainSnapshotPtr, flags: c_uint) -> c_int = -1;
    virDomainSnapshotRef(snapshot: virDomainSnapshotPtr) -> c_int = -1;
    virDomainStartDirtyRateCalc(domain: virDomainPtr, seconds: c_int, flags: c_uint) -> c_int = -1;
    virDomainStatsRecordListFree(stats: *mut virDomainStatsRecordPtr) -> () = ();
    virDomainSuspend(domain: virDomainPtr) -> c_int = -1;
    virDomainUndefine(domain: virDomainPtr) -> c_int = -1;
    virDomainUndefineFlags(domain: virDomainPtr, flags: c_uint) -> c_int = -1;
    virDomainUpdateDeviceFlags(domain: virDomainPtr, xml: *const c_char, flags: c_uint) -> c_int = -1;
    virEventAddHandle(fd: c_int, events: c_int, cb: virEventHandleCallback, opaque: *mut c_void, ff: virFreeCallback) -> c_int = -1;
    virEventAddTimeout(frequency: c_int, cb: virEventTimeoutCallback, opaque: *mut c_void, ff: virFreeCallback) -> c_int = -1;
    virEventRegisterDefaultImpl() -> c_int = -1;
    virEventRegisterImpl(addHandle: virEventAddHandleFunc, updateHandle: virEventUpdateHandleFunc, removeHandle: virEventRemoveHandleFunc, addTimeout: virEventAddTimeoutFunc, updateTimeout: virEventUpdateTimeoutFunc, removeTimeout: virEventRemoveTimeoutFunc) -> () = ();
    virEventRemoveHandle(watch: c_int) -> c_int = -1;
    virEventRemoveTimeout(timer: c_int) -> c_int = -1;
    virEventRunDefaultImpl() -> c_int = -1;
    virEventUpdateHandle(watch: c_int, events: c_int) -> () = ();
    virEventUpdateTimeout(timer: c_int, frequency: c_int) -> () = ();
    virFreeError(err: virErrorPtr) -> () = ();
    virGetLastError() -> virErrorPtr = null_mut();
    virGetLastErrorCode() -> c_int = -1;
    virGetLastErrorDomain() -> c_int = -1;
    virGetLastErrorMessage() -> *const c_char = null();
    virGetVersion(libVer: *mut c_ulong, type_: *const c_char, typeVer: *mut c_ulong) -> c_int = -1;
    virInitialize() -> c_int = -1;
    virInterfaceChangeBegin(conn: virConnectPtr, flags: c_uint) -> c_int = -1;
    virInterfaceChangeCommit(conn: virConnectPtr, flags: c_uint) -> c_int = -1;
    virInterfaceChangeRollback(conn: virConnectPtr, flags: c_uint) -> c_int = -1;
    virInterfaceCreate(iface: virInterfacePtr, flags: c_uint) -> c_int = -1;
    virInterfaceDefineXML(conn: virConnectPtr, xmlDesc: *const c_char, flags: c_uint) -> virInterfacePtr = null_mut();
    virInterfaceDestroy(iface: virInterfacePtr, flags: c_uint) -> c_int = -1;
    virInterfaceFree(iface: virInterfacePtr) -> c_int = -1;
    virInterfaceGetConnect(iface: virInterfacePtr) -> virConnectPtr = null_mut();
    virInterfaceGetMACString(iface: virInterfacePtr) -> *const c_char = null();
    virInterfaceGetName(iface: virInterfacePtr) -> *const c_char = null();
    virInterfaceGetXMLDesc(iface: virInterfacePtr, flags: c_uint) -> *mut c_char = null_mut();
    virInterfaceIsActive(iface: virInterfacePtr) -> c_int = -1;
    virInterfaceLookupByMACString(conn: virConnectPtr, mac: *const c_char) -> virInterfacePtr = null_mut();
    virInterfaceLookupByName(conn: virConnectPtr, name: *const c_char) -> virInterfacePtr = null_mut();
    virInterfaceRef(iface: virInterfacePtr) -> c_int = -1;
    virInterfaceUndefine(iface: virInterfacePtr) -> c_int = -1;
    virNWFilterBindingCreateXML(conn: virConnectPtr, xml: *const c_char, flags: c_uint) -> virNWFilterBindingPtr = null_mut();
    virNWFilterBindingDelete(binding: virNWFilterBindingPtr) -> c_int = -1;
    virNWFilterBindingFree(binding: virNWFilterBindingPtr) -> c_int = -1;
    virNWFilterBindingGetFilterName(binding: virNWFilterBindingPtr) -> *const c_char = null();
    virNWFilterBindingGetPortDev(binding: virNWFilterBindingPtr) -> *const c_char = null();
    virNWFilterBindingGetXMLDesc(binding: virNWFilterBindingPtr, flags: c_uint) -> *mut c_char = null_mut();
    virNWFilterBindingLookupByPortDev(conn: virConnectPtr, portdev: *const c_char) -> virNWFilterBindingPtr = null_mut();
    virNWFilterBindingRef(binding: virNWFilterBindingPtr) -> c_int = -1;
    virNWFilterDefineXML(conn: virConnectPtr, xmlDesc: *const c_char) -> virNWFilterPtr = null_mut();
    virNWFilterDefineXMLFlags(conn: virConnectPtr, xmlDesc: *const c_char, flags: c_uint) -> virNWFilterPtr = null_mut();
    virNWFilterFree(nwfilter: virNWFilterPtr) -> c_int = -1;
    virNWFilterGetName(nwfilter: virNWFilterPtr) -> *const c_char = null();
    virNWFilterGetUUID(nwfilter: virNWFilterPtr, uuid: *mut c_uchar) -> c_int = -1;
    virNWFilterGetUUIDString(nwfilter: virNWFilterPtr, buf: *mut c_char) -> c_int = -1;
    virNWFilterGetXMLDesc(nwfilter: virNWFilterPtr, flags: c_uint) -> *mut c_char = null_mut();
    virNWFilterLookupByName(conn: virConnectPtr, name: *const c_char) -> virNWFilterPtr = null_mut();
    virNWFilterLookupByUUID(conn: virConnectPtr, uuid: *const c_uchar) -> virNWFilterPtr = null_mut();
    virNWFilterLookupByUUIDString(conn: virConnectPtr, uuid: *const c_char) -> virNWFilterPtr = null_mut();
    virNWFilterRef(nwfilter: virNWFilterPtr) -> c_int = -1;
    virNWFilterUndefine(nwfilter: virNWFilterPtr) -> c_int = -1;
    virNetworkCreate(network: virNetworkPtr) -> c_int = -1;
    virNetworkCreateXML(conn: virConnectPtr, xmlDesc: *const c_char) -> virNetworkPtr = null_mut();
    virNetworkCreateXMLFlags(conn: virConnectPtr, xmlDesc: *const c_char, flags: c_uint) -> virNetworkPtr = null_mut();
    virNetworkDHCPLeaseFree(lease: virNetworkDHCPLeasePtr) -> () = ();
    virNetworkDefineXML(conn: virConnectPtr, xmlDesc: *const c_char) -> virNetworkPtr = null_mut();
    virNetworkDefineXMLFlags(conn: virConnectPtr, xmlDesc: *const c_char, flags: c_uint) -> virNetworkPtr = null_mut();
    virNetworkDestroy(network: virNetworkPtr) -> c_int = -1;
    virNetworkFree(network: virNetworkPtr) -> c_int = -1;
    virNetworkGetAutostart(network: virNetworkPtr, autostart: *mut c_int) -> c_int = -1;
    virNetworkGetBridgeName(network: virNetworkPtr) -> *mut c_char = null_mut();
    virNetworkGetConnect(network: virNetworkPtr) -> virConnectPtr = null_mut();
    virNetworkGetDHCPLeases(network: virNetworkPtr, mac: *const c_char, leases: *mut *mut virNetworkDHCPLeasePtr, flags: c_uint) -> c_int = -1;
    virNetworkGetName(network: virNetworkPtr) -> *const c_char = null();
    virNetworkGetUUID(network: virNetworkPtr, uuid: *mut c_uchar) -> c_int = -1;
    virNetworkGetUUIDString(network: virNetworkPtr, buf: *mut c_char) -> c_int = -1;
    virNetworkGetXMLDesc(network: virNetworkPtr, flags: c_uint) -> *mut c_char = null_mut();
    virNetworkIsActive(net: virNetworkPtr) -> c_int = -1;
    virNetworkIsPersistent(net: virNetworkPtr) -> c_int = -1;
    virNetworkListAllPorts(network: virNetworkPtr, ports: *mut *mut virNetworkPortPtr, flags: c_uint) -> c_int = -1;
    virNetworkLookupByName(conn: virConnectPtr, name: *const c_char) -> virNetworkPtr = null_mut();
    virNetworkLookupByUUID(conn: virConnectPtr, uuid: *const c_uchar) -> virNetworkPtr = null_mut();
    virNetworkLookupByUUIDString(conn: virConnectPtr, uuid: *const c_char) -> virNetworkPtr = null_mut();
    virNetworkPortCreateXML(net: virNetworkPtr, xmldesc: *const c_char, flags: c_uint) -> virNetworkPortPtr = null_mut();
    virNetworkPortDelete(port: virNetworkPortPtr, flags: c_uint) -> c_int = -1;
    virNetworkPortFree(port: virNetworkPortPtr) -> c_int = -1;
    virNetworkPortGetNetwork(port: virNetworkPortPtr) -> virNetworkPtr = null_mut();
    virNetworkPortGetParameters(port: virNetworkPortPtr, params: *mut virTypedParameterPtr, nparams: *mut c_int, flags: c_uint) -> c_int = -1;
    virNetworkPortGetUUID(port: virNetworkPortPtr, uuid: *mut c_uchar) -> c_int = -1;
    virNetworkPortGetUUIDString(port: virNetworkPortPtr, buf: *mut c_char) -> c_int = -1;
    virNetworkPortGetXMLDesc(port: virNetworkPortPtr, flags: c_uint) -> *mut c_char = null_mut();
    virNetworkPortLookupByUUID(net: virNetworkPtr, uuid: *const c_uchar) -> virNetworkPortPtr = null_mut();
    virNetworkPortLookupByUUIDString(net: virNetworkPtr, uuidstr: *const c_char) -> virNetworkPortPtr = null_mut();
    virNetworkPortRef(port: virNetworkPortPtr) -> c_int = -1;
    virNetworkPortSetParameters(port: virNetworkPortPtr, params: virTypedParameterPtr, nparams: c_int, flags: c_uint) -> c_int = -1;
    virNetworkRef(network: virNetworkPtr) -> c_int = -1;
    virNetworkSetAutostart(network: virNetworkPtr, autostart: c_int) -> c_int = -1;
    virNetworkUndefine(network: virNetworkPtr) -> c_int = -1;
    virNetworkUpdate(network: virNetworkPtr, command: c_uint, section: c_uint, parentIndex: c_int, xml: *const c_char, flags: c_uint) -> c_int = -1;
    virNodeAllocPages(conn: virConnectPtr, npages: c_uint, pageSizes: *mut c_uint, pageCounts: *mut c_ulonglong, startCell: c_int, cellCount: c_uint, flags: c_uint) -> c_int = -1;
    virNodeDeviceCreate(dev: virNodeDevicePtr, flags: c_uint) -> c_int = -1;
    virNodeDeviceCreateXML(conn: virConnectPtr, xmlDesc: *const c_char, flags: c_uint) -> virNodeDevicePtr = null_mut();
    virNodeDeviceDefineXML(conn: virConnectPtr, xmlDesc: *const c_char, flags: c_uint) -> virNodeDevicePtr = null_mut();
    virNodeDeviceDestroy(dev: virNodeDevicePtr) -> c_int = -1;
    virNodeDeviceDetachFlags(dev: virNodeDevicePtr, driverName: *const c_char, flags: c_uint) -> c_int = -1;
    virNodeDeviceDettach(dev: virNodeDevicePtr) -> c_int = -1;
    virNodeDeviceFree(dev: virNodeDevicePtr) -> c_int = -1;
    virNodeDeviceGetAutostart(dev: virNodeDevicePtr, autostart: *mut c_int) -> c_int = -1;
    virNodeDeviceGetName(dev: virNodeDevicePtr) -> *const c_char = null();
    virNodeDeviceGetParent(dev: virNodeDevicePtr) -> *const c_char = null();
    virNodeDeviceGetXMLDesc(dev: virNodeDevicePtr, flags: c_uint) -> *mut c_char = null_mut();
    virNodeDeviceIsActive(dev: virNodeDevicePtr) -> c_int = -1;
    virNodeDeviceIsPersistent(dev: virNodeDevicePtr) -> c_int = -1;
    virNodeDeviceListCaps(dev: virNodeDevicePtr, names: *mut *mut c_char, maxnames: c_int) -> c_int = -1;
    virNodeDeviceLookupByName(conn: virConnectPtr, name: *const c_char) -> virNodeDevicePtr = null_mut();
    virNodeDeviceLookupSCSIHostByWWN(conn: virConnectPtr, wwnn: *const c_char, wwpn: *const c_char, flags: c_uint) -> virNodeDevicePtr = null_mut();
    virNodeDeviceNumOfCaps(dev: virNodeDevicePtr) -> c_int = -1;
    virNodeDeviceReAttach(dev: virNodeDevicePtr) -> c_int = -1;
    virNodeDeviceRef(dev: virNodeDevicePtr) -> c_int = -1;
    virNodeDeviceReset(dev: virNodeDevicePtr) -> c_int = -1;
    virNodeDeviceSetAutostart(dev: virNodeDevicePtr, autostart: c_int) -> c_int = -1;
    virNodeDeviceUndefine(dev: virNodeDevicePtr, flags: c_uint) -> c_int = -1;
    virNodeGetCPUMap(conn: virConnectPtr, cpumap: *mut *mut c_uchar, online: *mut c_uint, flags: c_uint) -> c_int = -1;
    virNodeGetCPUStats(conn: virConnectPtr, cpuNum: c_int, params: virNodeCPUStatsPtr, nparams: *mut c_int, flags: c_uint) -> c_int = -1;
    virNodeGetCellsFreeMemory(conn: virConnectPtr, freeMems: *mut c_ulonglong, startCell: c_int, maxCells: c_int) -> c_int = -1;
    virNodeGetFreeMemory(conn: virConnectPtr) -> c_ulonglong = 0;
    virNodeGetFreePages(conn: virConnectPtr, npages: c_uint, pages: *mut c_uint, startcell: c_int, cellcount: c_uint, counts: *mut c_ulonglong, flags: c_uint) -> c_int = -1;
    virNodeGetInfo(conn: virConnectPtr, info: virNodeInfoPtr) -> c_int = -1;
    virNodeGetMemoryParameters(conn: virConnectPtr, params: virTypedParameterPtr, nparams: *mut c_int, flags: c_uint) -> c_int = -1;
    virNodeGetMemoryStats(conn: virConnectPtr, cellNum: c_int, params: virNodeMemoryStatsPtr, nparams: *mut c_int, flags: c_uint) -> c_int = -1;
    virNodeGetSEVInfo(conn: virConnectPtr, params: *mut virTypedParameterPtr, nparams: *mut c_int, flags: c_uint) -> c_int = -1;
    virNodeGetSecurityModel(conn: virConnectPtr, secmodel: virSecurityModelPtr) -> c_int = -1;
    virNodeListDevices(conn: virConnectPtr, cap: *const c_char, names: *mut *mut c_char, maxnames: c_int, flags: c_uint) -> c_int = -1;
    virNodeNumOfDevices(conn: virConnectPtr, cap: *const c_char, flags: c_uint) -> c_int = -1;
    virNodeSetMemoryParameters(conn: virConnectPtr, params: virTypedParameterPtr, nparams: c_int, flags: c_uint) -> c_int = -1;
    virNodeSuspendForDuration(conn: virConnectPtr, target: c_uint, duration: c_ulonglong, flags: c_uint) -> c_int = -1;
    virResetError(err: virErrorPtr) -> () = ();
    virResetLastError() -> () = ();
    virSaveLastError() -> virErrorPtr = null_mut();
    virSecretDefineXML(conn: virConnectPtr, xml: *const c_char, flags: c_uint) -> virSecretPtr = null_mut();
    virSecretFree(secret: virSecretPtr) -> c_int = -1;
    virSecretGetConnect(secret: virSecretPtr) -> virConnectPtr = null_mut();
    virSecretGetUUID(secret: virSecretPtr, buf: *mut c_uchar) -> c_int = -1;
    virSecretGetUUIDString(secret: virSecretPtr, buf: *mut c_char) -> c_int = -1;
    virSecretGetUsageID(secret: virSecretPtr) -> *const c_char = null();
    virSecretGetUsageType(secret: virSecretPtr) -> c_int = -1;
    virSecretGetValue(secret: virSecretPtr, value_size: *mut usize, flags: c_uint) -> *mut c_uchar = null_mut();
    virSecretGetXMLDesc(secret: virSecretPtr, flags: c_uint) -> *mut c_char = null_mut();
    virSecretLookupByUUID(conn: virConnectPtr, uuid: *const c_uchar) -> virSecretPtr = null_mut();
    virSecretLookupByUUIDString(conn: virConnectPtr, uuid: *const c_char) -> virSecretPtr = null_mut();
    virSecretLookupByUsage(conn: virConnectPtr, usageType: c_int, usageID: *const c_char) -> virSecretPtr = null_mut();
    virSecretRef(secret: virSecretPtr) -> c_int = -1;
    virSecretSetValue(secret: virSecretPtr, value: *const c_uchar, value_size: usize, flags: c_uint) -> c_int = -1;
    virSecretUndefine(secret: virSecretPtr) -> c_int = -1;
    virSetErrorFunc(userData: *mut c_void, handler: virErrorFunc) -> () = ();
    virStoragePoolBuild(pool: virStoragePoolPtr, flags: c_uint) -> c_int = -1;
    virStoragePoolCreate(pool: virStoragePoolPtr, flags: c_uint) -> c_int = -1;
    virStoragePoolCreateXML(conn: virConnectPtr, xmlDesc: *const c_char, flags: c_uint) -> virStoragePoolPtr = null_mut();
    virStoragePoolDefineXML(conn: virConnectPtr, xmlDesc: *const c_char, flags: c_uint) -> virStoragePoolPtr = null_mut();
    virStoragePoolDelete(pool: virStoragePoolPtr, flags: c_uint) -> c_int = -1;
    virStoragePoolDestroy(pool: virStoragePoolPtr) -> c_int = -1;
    virStoragePoolFree(pool: virStoragePoolPtr) -> c_int = -1;
    virStoragePoolGetAutostart(pool: virStoragePoolPtr, autostart: *mut c_int) -> c_int = -1;
    virStoragePoolGetConnect(pool: virStoragePoolPtr) -> virConnectPtr = null_mut();
    virStoragePoolGetInfo(vol: virStoragePoolPtr, info: virStoragePoolInfoPtr) -> c_int = -1;
    virStoragePoolGetName(pool: virStoragePoolPtr) -> *const c_char = null();
    virStoragePoolGetUUID(pool: virStoragePoolPtr, uuid: *mut c_uchar) -> c_int = -1;
    virStoragePoolGetUUIDString(pool: virStoragePoolPtr, buf: *mut c_char) -> c_int = -1;
    virStoragePoolGetXMLDesc(pool: virStoragePoolPtr, flags: c_uint) -> *mut c_char = null_mut();
    virStoragePoolIsActive(pool: virStoragePoolPtr) -> c_int = -1;
    virStoragePoolIsPersistent(pool: virStoragePoolPtr) -> c_int = -1;
    virStoragePoolListAllVolumes(pool: virStoragePoolPtr, vols: *mut *mut virStorageVolPtr, flags: c_uint) -> c_int = -1;
    virStoragePoolListVolumes(pool: virStoragePoolPtr, names: *mut *mut c_char, maxnames: c_int) -> c_int = -1;
    virStoragePoolLookupByName(conn: virConnectPtr, name: *const c_char) -> virStoragePoolPtr = null_mut();
    virStoragePoolLookupByTargetPath(conn: virConnectPtr, path: *const c_char) -> virStoragePoolPtr = null_mut();
    virStoragePoolLookupByUUID(conn: virConnectPtr, uuid: *const c_uchar) -> virStoragePoolPtr = null_mut();
    virStoragePoolLookupByUUIDString(conn: virConnectPtr, uuid: *const c_char) -> virStoragePoolPtr = null_mut();
    virStoragePoolLookupByVolume(vol: virStorageVolPtr) -> virStoragePoolPtr = null_mut();
    virStoragePoolNumOfVolumes(pool: virStoragePoolPtr) -> c_int = -1;
    virStoragePoolRef(pool: virStoragePoolPtr) -> c_int = -1;
    virStoragePoolRefresh(pool: virStoragePoolPtr, flags: c_uint) -> c_int = -1;
    virStoragePoolSetAutostart(pool: virStoragePoolPtr, autostart: c_int) -> c_int = -1;
    virStoragePoolUndefine(pool: virStoragePoolPtr) -> c_int = -1;
    virStorageVolCreateXML(pool: virStoragePoolPtr, xmldesc: *const c_char, flags: c_uint) -> virStorageVolPtr = null_mut();
    virStorageVolCreateXMLFrom(pool: virStoragePoolPtr, xmldesc: *const c_char, clonevol: virStorageVolPtr, flags: c_uint) -> virStorageVolPtr = null_mut();
    virStorageVolDelete(vol: virStorageVolPtr, flags: c_uint) -> c_int = -1;
    virStorageVolDownload(vol: virStorageVolPtr, stream: virStreamPtr, offset: c_ulonglong, length: c_ulonglong, flags: c_uint) -> c_int = -1;
    virStorageVolFree(vol: virStorageVolPtr) -> c_int = -1;
    virStorageVolGetConnect(vol: virStorageVolPtr) -> virConnectPtr = null_mut();
    virStorageVolGetInfo(vol: virStorageVolPtr, info: virStorageVolInfoPtr) -> c_int = -1;
    virStorageVolGetInfoFlags(vol: virStorageVolPtr, info: virStorageVolInfoPtr, flags: c_uint) -> c_int = -1;
    virStorageVolGetKey(vol: virStorageVolPtr) -> *const c_char = null();
    virStorageVolGetName(vol: virStorageVolPtr) -> *const c_char = null();
    virStorageVolGetPath(vol: virStorageVolPtr) -> *mut c_char = null_mut();
    virStorageVolGetXMLDesc(pool: virStorageVolPtr, flags: c_uint) -> *mut c_char = null_mut();
    virStorageVolLookupByKey(conn: virConnectPtr, key: *const c_char) -> virStorageVolPtr = null_mut();
    virStorageVolLookupByName(pool: virStoragePoolPtr, name: *const c_char) -> virStorageVolPtr = null_mut();
    virStorageVolLookupByPath(conn: virConnectPtr, path: *const c_char) -> virStorageVolPtr = null_mut();
    virStorageVolRef(vol: virStorageVolPtr) -> c_int = -1;
    virStorageVolResize(vol: virStorageVolPtr, capacity: c_ulonglong, flags: c_uint) -> c_int = -1;
    virStorageVolUpload(vol: virStorageVolPtr, stream: virStreamPtr, offset: c_ulonglong, length: c_ulonglong, flags: c_uint) -> c_int = -1;
    virStorageVolWipe(vol: virStorageVolPtr, flags: c_uint) -> c_int = -1;
    virStorageVolWipePattern(vol: virStorageVolPtr, algorithm: c_uint, flags: c_uint) -> c_int = -1;
    virStreamAbort(st: virStreamPtr) -> c_int = -1;
    virStreamEventAddCallback(stream: virStreamPtr, events: c_int, cb: virStreamEventCallback, opaque: *mut c_void, ff: virFreeCallback) -> c_int = -1;
    virStreamEventRemoveCallback(stream: virStreamPtr) -> c_int = -1;
    virStreamEventUpdateCallback(stream: virStreamPtr, events: c_int) -> c_int = -1;
    virStreamFinish(st: virStreamPtr) -> c_int = -1;
    virStreamFree(st: virStreamPtr) -> c_int = -1;
    virStreamNew(conn: virConnectPtr, flags: c_uint) -> virStreamPtr = null_mut();
    virStreamRecv(st: virStreamPtr, data: *mut c_char, nbytes: usize) -> c_int = -1;
    virStreamRecvAll(st: virStreamPtr, handler: virStreamSinkFunc, opaque: *mut c_void) -> c_int = -1;
    virStreamRecvFlags(st: virStreamPtr, data: *mut c_char, nbytes: usize, flags: c_uint) -> c_int = -1;
    virStreamRecvHole(arg0: virStreamPtr, length: *mut c_longlong, flags: c_uint) -> c_int = -1;
    virStreamRef(st: virStreamPtr) -> c_int = -1;
    virStreamSend(st: virStreamPtr, data: *const c_char, nbytes: usize) -> c_int = -1;
    virStreamSendAll(st: virStreamPtr, handler: virStreamSourceFunc, opaque: *mut c_void) -> c_int = -1;
    virStreamSendHole(st: virStreamPtr, length: c_longlong, flags: c_uint) -> c_int = -1;
    virStreamSparseRecvAll(stream: virStreamPtr, handler: virStreamSinkFunc, holeHandler: virStreamSinkHoleFunc, opaque: *mut c_void) -> c_int = -1;
    virStreamSparseSendAll(st: virStreamPtr, handler: virStreamSourceFunc, holeHandler: virStreamSourceHoleFunc, skipHandler: virStreamSourceSkipFunc, opaque: *mut c_void) -> c_int = -1;
    virTypedParamsAddBoolean(params: *mut virTypedParameterPtr, nparams: *mut c_int, maxparams: *mut c_int, name: *const c_char, value: c_int) -> c_int = -1;
    virTypedParamsAddDouble(params: *mut virTypedParameterPtr, nparams: *mut c_int, maxparams: *mut c_int, name: *const c_char, value: f64) -> c_int = -1;
    virTypedParamsAddFromString(params: *mut virTypedParameterPtr, nparams: *mut c_int, maxparams: *mut c_int, name: *const c_char, type_: c_int, value: *const c_char) -> c_int = -1;
    virTypedParamsAddInt(params: *mut virTypedParameterPtr, nparams: *mut c_int, maxparams: *mut c_int, name: *const c_char, value: c_int) -> c_int = -1;
    virTypedParamsAddLLong(params: *mut virTypedParameterPtr, nparams: *mut c_int, maxparams: *mut c_int, name: *const c_char, value: c_longlong) -> c_int = -1;
    virTypedParamsAddString(params: *mut virTypedParameterPtr, nparams: *mut c_int, maxparams: *mut c_int, name: *const c_char, value: *const c_char) -> c_int = -1;
    virTypedParamsAddStringList(params: *mut virTypedParameterPtr, nparams: *mut c_int, maxparams: *mut c_int, name: *const c_char, values: *mut *const c_char) -> c_int = -1;
    virTypedParamsAddUInt(params: *mut virTypedParameterPtr, nparams: *mut c_int, maxparams: *mut c_int, name: *const c_char, value: c_uint) -> c_int = -1;
    virTypedParamsAddULLong(params: *mut virTypedParameterPtr, nparams: *mut c_int, maxparams: *mut c_int, name: *const c_char, value: c_ulonglong) -> c_int = -1;
    virTypedParamsClear(params: virTypedParameterPtr, nparams: c_int) -> () = ();
    virTypedParamsFree(params: virTypedParameterPtr, nparams: c_int) -> () = ();
    virTypedParamsGet(params: virTypedParameterPtr, nparams: c_int, name: *const c_char) -> virTypedParameterPtr = null_mut();
    virTypedParamsGetBoolean(params: virTypedParameterPtr, nparams: c_int, name: *const c_char, value: *mut c_int) -> c_int = -1;
    virTypedParamsGetDouble(params: virTypedParameterPtr, nparams: c_int, name: *const c_char, value: *mut f64) -> c_int = -1;
    virTypedParamsGetInt(params: virTypedParameterPtr, nparams: c_int, name: *const c_char, value: *mut c_int) -> c_int = -1;
    virTypedParamsGetLLong(params: virTypedParameterPtr, nparams: c_int, name: *const c_char, value: *mut c_longlong) -> c_int = -1;
    virTypedParamsGetString(params: virTypedParameterPtr, nparams: c_int, name: *const c_char, value: *mut *const c_char) -> c_int = -1;
    virTypedParamsGetUInt(params: virTypedParameterPtr, nparams: c_int, name: *const c_char, value: *mut c_uint) -> c_int = -1;
    virTypedParamsGetULLong(params: virTypedParameterPtr, nparams: c_int, name: *const c_char, value: *mut c_ulonglong) -> c_int = -1;
}

forward! {
    from LIBVIRT_QEMU;
    virConnectDomainQemuMonitorEventDeregister(conn: virConnectPtr, callbackID: c_int) -> c_int = -1;
    virConnectDomainQemuMonitorEventRegister(conn: virConnectPtr, dom: virDomainPtr, event: *const c_char, cb: virConnectDomainQemuMonitorEventCallback, opaque: *mut c_void, freecb: virFreeCallback, flags: c_uint) -> c_int = -1;
    virDomainQemuAgentCommand(domain: virDomainPtr, cmd: *const c_char, timeout: c_int, flags: c_uint) -> *mut c_char = null_mut();
    virDomainQemuAttach(domain: virConnectPtr, pid_value: c_uint, flags: c_uint) -> virDomainPtr = null_mut();
    virDomainQemuMonitorCommand(domain: virDomainPtr, cmd: *const c_char, result: *mut *mut c_char, flags: c_uint) -> c_int = -1;
    virDomainQemuMonitorCommandWithFiles(domain: virDomainPtr, cmd: *const c_char, ninfiles: c_uint, infiles: *mut c_int, noutfiles: *mut c_uint, outfiles: *mut *mut c_int, result: *mut *mut c_char, flags: c_uint) -> c_int = -1;
}
