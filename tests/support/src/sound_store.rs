//! A valid store, for tests that damage it.

/// A valid store: a template, a qube that provides network, and another qube.
pub const SOUND: &str = r#"<qubes>
  <labels>
    <label id="label-1" color="0xcc0000">red</label>
    <label id="label-8" color="0x000000">black</label>
  </labels>
  <pools>
    <pool name="varlibqubes" dir_path="/var/lib/qubes" driver="file-reflink" revisions_to_keep="1"/>
    <pool name="linux-kernel" dir_path="/var/lib/qubes/vm-kernels" driver="linux-kernel"/>
  </pools>
  <properties>
    <property name="default_kernel">1.0</property>
    <property name="default_netvm">sys-net</property>
    <property name="default_pool_kernel">linux-kernel</property>
  </properties>
  <domains>
    <domain id="domain-0" class="AdminVM">
      <properties>
        <property name="label">black</property>
      </properties>
    </domain>
    <domain id="domain-1" class="TemplateVM">
      <properties>
        <property name="label">black</property>
        <property name="name">fedora</property>
        <property name="qid">1</property>
        <property name="uuid">b426f560-25dc-4993-875e-6f7ad1398b59</property>
      </properties>
    </domain>
    <domain id="domain-2" class="AppVM">
      <properties>
        <property name="label">red</property>
        <property name="name">sys-net</property>
        <property name="provides_network">True</property>
        <property name="qid">2</property>
        <property name="uuid">eb46c5a7-e2c2-4e1a-8a1e-657dc48557b3</property>
        <property name="netvm"></property>
        <property name="template">fedora</property>
      </properties>
    </domain>
    <domain id="domain-3" class="AppVM">
      <properties>
        <property name="label">red</property>
        <property name="memory">400</property>
        <property name="name">work</property>
        <property name="qid">3</property>
        <property name="uuid">14cf2e5d-7025-41d7-a69c-dc4282cbdcff</property>
        <property name="netvm">sys-net</property>
        <property name="template">fedora</property>
      </properties>
      <features>
        <feature name="service.cups"></feature>
      </features>
      <tags>
        <tag name="mine"/>
      </tags>
      <devices class="block">
        <device backend-domain="sys-net" id="sda" mode="required" identity="*"/>
      </devices>
      <volume-config>
        <volume name="private" pool="varlibqubes" vid="appvms/work/private" revisions_to_keep="1" rw="True" save_on_stop="True" size="2147483648"/>
      </volume-config>
    </domain>
  </domains>
</qubes>
"#;
