// Fulcio for tests: Fulcio's own server, certificate authority, check of identity tokens and HTTP gateway, as its packages have them,
// and beside them the two services that it needs: who gives identity tokens to build jobs, and a certificate transparency log.
//
// Fulcio's own main package is not used, since Debian has no packages of some things that it imports (metrics, request numbers).
//
//	fulcio PORT FOLDER
//
// listens at 127.0.0.1:PORT and writes ct.pub (the log's key, PEM) to FOLDER. The identity tokens are by http://127.0.0.1:PORT/jobs,
// with the claims of a GitLab job: GET /token?project=GROUP/NAME&ref=BRANCH[&file=GROUP/NAME][&minutes=-5][&audience=other], where file is
// the project that has the file with the job's steps.
package main

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	ct "github.com/google/certificate-transparency-go"
	ctclient "github.com/google/certificate-transparency-go/client"
	"github.com/google/certificate-transparency-go/jsonclient"
	"github.com/google/certificate-transparency-go/tls"
	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	v1 "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	"github.com/sigstore/sigstore/pkg/signature"
	"google.golang.org/grpc"

	"github.com/sigstore/fulcio/pkg/ca/ephemeralca"
	"github.com/sigstore/fulcio/pkg/config"
	gw "github.com/sigstore/fulcio/pkg/generated/protobuf"
	"github.com/sigstore/fulcio/pkg/server"
	"google.golang.org/grpc/credentials/insecure"
)

// What Fulcio's public instance says of GitLab, with another issuer.
const configuration = `
oidc-issuers:
  %[1]s:
    issuer-url: %[1]s
    client-id: sigstore
    type: ci-provider
    ci-provider: gitlab-pipeline
ci-issuer-metadata:
  gitlab-pipeline:
    default-template-values:
      url: "https://git.example"
    extension-templates:
      build-signer-uri: "https://{{ .ci_config_ref_uri }}"
      build-config-uri: "https://{{ .ci_config_ref_uri }}"
      build-trigger: "pipeline_source"
      source-repository-uri: "{{ .url }}/{{ .project_path }}"
      source-repository-digest: "sha"
      source-repository-ref: refs/{{if eq .ref_type "branch"}}heads/{{ else }}tags/{{end}}{{ .ref }}
      run-invocation-uri: "{{ .url }}/{{ .project_path }}/-/jobs/{{ .job_id }}"
    subject-alternative-name-template: "https://{{ .ci_config_ref_uri }}"
`

func main() {
	address, folder := "127.0.0.1:"+os.Args[1], os.Args[2]
	site := "http://" + address
	jobs, ctLog := newKey(), newKey()
	writeKey(filepath.Join(folder, "ct.pub"), ctLog)
	mux := http.NewServeMux()
	identities(mux, site+"/jobs", jobs)
	transparency(mux, ctLog)
	listener := must(net.Listen("tcp", address))
	go func() { log.Fatal(http.Serve(listener, mux)) }()

	// Fulcio asks the issuer for its keys when it reads this.
	settings := must(config.Read(fmt.Appendf(nil, configuration, site+"/jobs")))
	authority := must(ephemeralca.NewEphemeralCA())
	algorithms := must(signature.NewAlgorithmRegistryConfig([]v1.PublicKeyDetails{v1.PublicKeyDetails_PKIX_ECDSA_P256_SHA_256}))
	public := must(x509.MarshalPKIXPublicKey(ctLog.Public()))
	transparent := must(ctclient.New(site+"/ct", http.DefaultClient, jsonclient.Options{PublicKeyDER: public}))
	withSettings := func(ctx context.Context, request any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		return handler(config.With(ctx, settings), request)
	}
	inside := grpc.NewServer(grpc.UnaryInterceptor(withSettings))
	gw.RegisterCAServer(inside, server.NewGRPCCAServer(transparent, authority, algorithms, server.NewIssuerPool(settings)))
	socket := must(net.Listen("tcp", "127.0.0.1:0"))
	go func() { log.Fatal(inside.Serve(socket)) }()
	gateway := runtime.NewServeMux()
	options := []grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}
	check(gw.RegisterCAHandlerFromEndpoint(context.Background(), gateway, socket.Addr().String(), options))
	mux.Handle("/api/v2/", gateway)
	check(os.WriteFile(filepath.Join(folder, "ready"), nil, 0o644))
	select {}
}

// Identity tokens as a forge gives them to its jobs (OpenID Connect Discovery 1.0, RFC 7519, ES256 of RFC 7518).
func identities(mux *http.ServeMux, issuer string, key *ecdsa.PrivateKey) {
	mux.HandleFunc("/jobs/.well-known/openid-configuration", func(answer http.ResponseWriter, _ *http.Request) {
		reply(answer, map[string]any{
			"issuer": issuer, "jwks_uri": issuer + "/keys", "authorization_endpoint": issuer, "response_types_supported": []string{"id_token"},
			"subject_types_supported": []string{"public"}, "id_token_signing_alg_values_supported": []string{"ES256"},
		})
	})
	mux.HandleFunc("/jobs/keys", func(answer http.ResponseWriter, _ *http.Request) {
		number := func(bytes []byte) string { return base64.RawURLEncoding.EncodeToString(bytes) }
		point := must(key.PublicKey.Bytes())
		reply(answer, map[string]any{"keys": []any{map[string]string{
			"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": "1", "x": number(point[1:33]), "y": number(point[33:]),
		}}})
	})
	mux.HandleFunc("/token", func(answer http.ResponseWriter, request *http.Request) {
		asked := request.URL.Query()
		project, ref, audience, file := asked.Get("project"), asked.Get("ref"), asked.Get("audience"), asked.Get("file")
		if file == "" {
			file = project
		}
		if audience == "" {
			audience = "sigstore"
		}
		minutes := 5
		if asked.Has("minutes") {
			minutes = must(strconv.Atoi(asked.Get("minutes")))
		}
		now := time.Now()
		fmt.Fprint(answer, token(key, map[string]any{
			"iss": issuer, "aud": audience, "sub": "project_path:" + project + ":ref_type:branch:ref:" + ref,
			"iat": now.Add(-time.Hour).Unix(), "nbf": now.Add(-time.Hour).Unix(), "exp": now.Add(time.Duration(minutes) * time.Minute).Unix(),
			"project_path": project, "ref": ref, "ref_type": "branch", "job_id": "77", "pipeline_source": "push",
			"sha": strings.Repeat("ab", 20), "ci_config_ref_uri": "git.example/" + file + "//.gitlab-ci.yml@refs/heads/" + ref,
		}))
	})
}

func token(key *ecdsa.PrivateKey, claims map[string]any) string {
	text := func(value any) string { return base64.RawURLEncoding.EncodeToString(must(json.Marshal(value))) }
	signed := text(map[string]string{"alg": "ES256", "typ": "JWT", "kid": "1"}) + "." + text(claims)
	digest := sha256.Sum256([]byte(signed))
	r, s, err := ecdsa.Sign(rand.Reader, key, digest[:])
	check(err)
	bytes := make([]byte, 64)
	r.FillBytes(bytes[:32])
	s.FillBytes(bytes[32:])
	return signed + "." + base64.RawURLEncoding.EncodeToString(bytes)
}

// What a certificate transparency log promises for a certificate that is to be (RFC 6962, section 4.2). Nothing is kept.
func transparency(mux *http.ServeMux, key *ecdsa.PrivateKey) {
	mux.HandleFunc("/ct/ct/v1/add-pre-chain", func(answer http.ResponseWriter, request *http.Request) {
		var asked ct.AddChainRequest
		check(json.NewDecoder(request.Body).Decode(&asked))
		var chain []ct.ASN1Cert
		for _, der := range asked.Chain {
			chain = append(chain, ct.ASN1Cert{Data: der})
		}
		leaf := must(ct.MerkleTreeLeafFromRawChain(chain, ct.PrecertLogEntryType, uint64(time.Now().UnixMilli())))
		promise := ct.SignedCertificateTimestamp{SCTVersion: ct.V1, Timestamp: leaf.TimestampedEntry.Timestamp}
		promise.LogID.KeyID = sha256.Sum256(must(x509.MarshalPKIXPublicKey(key.Public())))
		digest := sha256.Sum256(must(ct.SerializeSCTSignatureInput(promise, ct.LogEntry{Leaf: *leaf})))
		signed := must(key.Sign(rand.Reader, digest[:], crypto.SHA256))
		algorithm := tls.SignatureAndHashAlgorithm{Hash: tls.SHA256, Signature: tls.ECDSA}
		bytes := must(tls.Marshal(ct.DigitallySigned(tls.DigitallySigned{Algorithm: algorithm, Signature: signed})))
		reply(answer, ct.AddChainResponse{
			SCTVersion: ct.V1, ID: promise.LogID.KeyID[:], Timestamp: promise.Timestamp, Signature: bytes,
		})
	})
}

func newKey() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) }

func writeKey(path string, key *ecdsa.PrivateKey) {
	block := pem.Block{Type: "PUBLIC KEY", Bytes: must(x509.MarshalPKIXPublicKey(key.Public()))}
	check(os.WriteFile(path, pem.EncodeToMemory(&block), 0o644))
}

func reply(answer http.ResponseWriter, value any) {
	answer.Header().Set("Content-Type", "application/json")
	check(json.NewEncoder(answer).Encode(value))
}

func must[T any](value T, err error) T {
	check(err)
	return value
}

func check(err error) {
	if err != nil {
		log.Panic(err)
	}
}
