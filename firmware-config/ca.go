package firmwareconfig

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"
)

// ca reads the path of the certificates that a broker's has to be signed by.
func (r *reader) ca() string {
	v, ok := r.str("ca")
	if !ok {
		return ""
	}
	sample := say("例如：ca = \"/etc/longan/ca.pem\"", "For example: ca = \"/etc/longan/ca.pem\"")
	switch {
	case strings.Contains(v.text, "-----BEGIN"):
		r.report(v.at, say("ca 是文件的路径，不是证书本身。", "ca is the path of a file, not the certificate itself."), sample)
	case !path.IsAbs(v.text):
		r.report(v.at, say("ca 要写完整路径。", "ca is a whole path."), sample)
	}
	return v.text
}

// maxCA bounds a file of certificates, in bytes.
const maxCA = 1 << 20

// checkCA looks into the file of Uplink.CA. An error, of type Problems, is that no
// connection could be made with it; notes are worth a look. A site file may be written on
// another machine than the board, so a file that is not there is only noted.
func (s *Site) checkCA(now time.Time, lang Language) (notes []string, problem error) {
	file := s.Uplink.CA
	if file == "" {
		return nil, nil
	}
	note := func(t text) { notes = append(notes, t.in(lang)) }
	if !s.encrypted() {
		note(say("注意：写了 ca，但没有 mqtts:// 的地址，ca 用不上。", "note: there is a ca, but no address with mqtts://, so it is not used."))
	}
	data, err := readCA(file)
	if errors.Is(err, fs.ErrNotExist) {
		note(say("注意：这台机器上没有 ca 文件 %s；板子上必须有，否则连不上市里。", "note: this machine has no ca file %s; the board needs it, or it can't reach the city.", file))
		return notes, nil
	}
	src := &source{name: file, lang: lang}
	if err != nil {
		src.reportFile(unreadable(err))
		return notes, src.err()
	}
	certs, what, hint := parseCA(data)
	if what != (text{}) {
		src.reportFile(what, hint)
		return notes, src.err()
	}
	for _, c := range certs {
		if now.After(c.NotAfter) {
			note(say("注意：%s 里的证书 %q 已于 %s 到期。", "note: the certificate %[2]q in %[1]s ended on %[3]s.", file, clip(c.Subject.String()), c.NotAfter.Format(time.DateOnly)))
		}
	}
	return notes, nil
}

// encrypted reports whether any broker is reached with TLS.
func (s *Site) encrypted() bool {
	for _, b := range s.Uplink.Brokers {
		if strings.HasPrefix(b, "mqtts://") {
			return true
		}
	}
	return false
}

// readCA returns at most one byte more than such a file may have.
func readCA(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxCA+1))
}

// parseCA returns the certificates in a PEM file, or what is wrong with it.
func parseCA(data []byte) (certs []*x509.Certificate, what, hint text) {
	ask := say("从市里要 CA 证书（不是密钥），以 -----BEGIN CERTIFICATE----- 开头。", "Ask the city for the certificate of its CA (not the key); it begins with -----BEGIN CERTIFICATE-----.")
	if len(data) > maxCA {
		return nil, say("文件太大，不像证书。", "the file is too large for certificates."), ask
	}
	rest := data
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if strings.HasSuffix(block.Type, "PRIVATE KEY") {
			return nil, say("文件里有私钥。私钥不能放在板子上。", "the file holds a private key. It must not be on a board."), ask
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, say("第 %d 个证书读不了：%v。", "certificate %d can't be read: %v.", len(certs)+1, err), ask
		}
		certs = append(certs, c)
	}
	if len(certs) > 0 {
		return certs, text{}, text{}
	}
	if _, err := x509.ParseCertificate(data); err == nil {
		return nil, say("证书是二进制（DER）格式，要 PEM 格式。", "the certificate is in binary (DER) form; it has to be PEM."),
			say("转换：openssl x509 -inform der -in ca.cer -out ca.pem", "Convert it: openssl x509 -inform der -in ca.cer -out ca.pem")
	}
	return nil, say("文件里没有证书。", "the file holds no certificate."), ask
}
