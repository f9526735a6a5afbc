package lint

// Signed zones for the examples of the DNSSEC rules. TestDNSSECExamples writes them.
const (
	soundSignatures = `-- observations --
signed.example DS NOERROR
signed.example. 0 IN DS 60795 15 2 93F3E4BF2FCAFF2A6F2CE6D0C0A868ECC92B4224FBBC373DB9866A376AB43420
signed.example DNSKEY NOERROR
signed.example. 0 IN DNSKEY 257 3 15 iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w=
signed.example. 0 IN RRSIG DNSKEY 15 2 0 20261010120000 20260926120000 60795 signed.example. ER5VYrD9vEuXZHEPzDXYkPoyixKFncMQIpQKTaMTB9aNA/t8/7LrcABe9OEIs+kl2WtvOHd9zsJpf8LO/hbAAA==
signed.example SOA NOERROR
signed.example. 0 IN SOA ns1.host.test. hostmaster.host.test. 1 3600 600 86400 300
signed.example. 0 IN RRSIG SOA 15 2 0 20261010120000 20260926120000 60795 signed.example. kx+UhZbpttuIArM8xy0NVBQodlJuZxqmyXqRvL2PVca7FMpia+07Iex5oFTi01j28uQmoYCoJXsVzxRcsTlbDQ==
signed.example NSEC3PARAM NOERROR
signed.example. 0 IN NSEC3PARAM 1 0 0 -
`
	brokenSignatures = `-- observations --
signed.example DS NOERROR
signed.example. 0 IN DS 40119 15 2 036B0E302B746BE57852F36B4F26DF9150B668FDC1673DDF0B7AB54574DDAC30
signed.example DNSKEY NOERROR
signed.example. 0 IN DNSKEY 257 3 15 iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w=
signed.example. 0 IN RRSIG DNSKEY 15 2 0 20261010120000 20260926120000 60795 signed.example. ER5VYrD9vEuXZHEPzDXYkPoyixKFncMQIpQKTaMTB9aNA/t8/7LrcABe9OEIs+kl2WtvOHd9zsJpf8LO/hbAAA==
signed.example SOA NOERROR
signed.example. 0 IN SOA ns1.host.test. hostmaster.host.test. 1 3600 600 86400 300
signed.example. 0 IN RRSIG SOA 15 2 0 20261010120000 20260926120000 60795 signed.example. kx+UhZbpttuIArM8xy0NVBQodlJuZxqmyXqRvL2PVca7FMpia+07Iex5oFTi01j28uQmoYCoJXsVzxRcsTlbDQ==
signed.example NSEC3PARAM NOERROR
`
	endingSignatures = `-- observations --
signed.example DS NOERROR
signed.example. 0 IN DS 60795 15 2 93F3E4BF2FCAFF2A6F2CE6D0C0A868ECC92B4224FBBC373DB9866A376AB43420
signed.example DNSKEY NOERROR
signed.example. 0 IN DNSKEY 257 3 15 iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w=
signed.example. 0 IN RRSIG DNSKEY 15 2 0 20261002120000 20260918120000 60795 signed.example. 6ys959S1E0w/1o1gnR1EtewsAWBFZGvbcuNxG8xncBAvFKLSlehggyEP2lmS3L9v8JZfDpT4WC/yDHdqb79aBw==
signed.example SOA NOERROR
signed.example. 0 IN SOA ns1.host.test. hostmaster.host.test. 1 3600 600 86400 300
signed.example. 0 IN RRSIG SOA 15 2 0 20261002120000 20260918120000 60795 signed.example. hSUZlZPQ3OwylQ7EZcRNmlpwj8stwcTUxzKc9eYa2KmMqAHdnaib9RA31ynFIKyFC9K1kDenzF2jaKbDGcoSAw==
signed.example NSEC3PARAM NOERROR
`
	weakSignatures = `-- observations --
signed.example DS NOERROR
signed.example. 0 IN DS 60795 15 1 BDB3A52C227E7EB2C33A61D3C93238E3617706FB
signed.example DNSKEY NOERROR
signed.example. 0 IN DNSKEY 257 3 15 iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w=
signed.example. 0 IN RRSIG DNSKEY 15 2 0 20261010120000 20260926120000 60795 signed.example. ER5VYrD9vEuXZHEPzDXYkPoyixKFncMQIpQKTaMTB9aNA/t8/7LrcABe9OEIs+kl2WtvOHd9zsJpf8LO/hbAAA==
signed.example SOA NOERROR
signed.example. 0 IN SOA ns1.host.test. hostmaster.host.test. 1 3600 600 86400 300
signed.example. 0 IN RRSIG SOA 15 2 0 20261010120000 20260926120000 60795 signed.example. kx+UhZbpttuIArM8xy0NVBQodlJuZxqmyXqRvL2PVca7FMpia+07Iex5oFTi01j28uQmoYCoJXsVzxRcsTlbDQ==
signed.example NSEC3PARAM NOERROR
signed.example. 0 IN NSEC3PARAM 1 0 10 AABB
`
)
