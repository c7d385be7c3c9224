// Command workload is a container of the end-to-end tests: a process 1 whose life a test writes on its command line.
//
//	workload [--serve PORT] [--tick DUR] [--exit-after DUR] [--exit-code N] [--on-term exit|ignore|DUR]
//
//	workload --api-get PATH    asks the API server as the Pod's service account, prints the answer, ends with 0 if it is 200
//
// Without flags it runs until SIGTERM and then ends with code 0 at once.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// termination is what the process does once SIGTERM has come.
type termination struct {
	ignore bool
	after  time.Duration
}

func (t *termination) String() string {
	switch {
	case t.ignore:
		return "ignore"
	case t.after == 0:
		return "exit"
	default:
		return t.after.String()
	}
}

func (t *termination) Set(value string) error {
	switch value {
	case "exit":
		*t = termination{}
		return nil
	case "ignore":
		*t = termination{ignore: true}
		return nil
	}
	after, err := time.ParseDuration(value)
	if err != nil || after < 0 {
		return fmt.Errorf("want exit, ignore or a duration, got %q", value)
	}
	*t = termination{after: after}
	return nil
}

// say writes one log line.
func say(format string, args ...any) {
	fmt.Printf("%s %s\n", time.Now().UTC().Format(time.RFC3339Nano), fmt.Sprintf(format, args...))
}

// serve answers every request with the host's name and some of its environment, so that a test sees who answered.
func serve(port int) {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s\n", host, r.URL.Path)
	})
	server := &http.Server{Addr: fmt.Sprintf(":%d", port), Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	say("serving on port %d", port)
	if err := server.ListenAndServe(); err != nil {
		say("serve: %v", err)
		os.Exit(1)
	}
}

// apiGet asks the API server for a path with what every Pod is given, and returns the code to end with.
func apiGet(path string) int {
	const mount = "/var/run/secrets/kubernetes.io/serviceaccount/"
	token, err := os.ReadFile(mount + "token")
	if err != nil {
		say("%v", err)
		return 1
	}
	ca, err := os.ReadFile(mount + "ca.crt")
	if err != nil {
		say("%v", err)
		return 1
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	client := &http.Client{
		Timeout:   10 * time.Second,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}},
	}
	server := net.JoinHostPort(os.Getenv("KUBERNETES_SERVICE_HOST"), os.Getenv("KUBERNETES_SERVICE_PORT"))
	request, err := http.NewRequest(http.MethodGet, "https://"+server+path, nil)
	if err != nil {
		say("%v", err)
		return 1
	}
	request.Header.Set("Authorization", "Bearer "+string(token))
	response, err := client.Do(request)
	if err != nil {
		say("%v", err)
		return 1
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		say("%v", err)
		return 1
	}
	fmt.Printf("%s\n%s\n", response.Status, body)
	if response.StatusCode != http.StatusOK {
		return 1
	}
	return 0
}

// after is a channel that fires once after a positive duration and never otherwise.
func after(d time.Duration) <-chan time.Time {
	if d <= 0 {
		return nil
	}
	return time.After(d)
}

func main() {
	var onTerm termination
	port := flag.Int("serve", 0, "serve HTTP on this port (0: do not)")
	tick := flag.Duration("tick", 10*time.Second, "log a line this often (0: never)")
	exitAfter := flag.Duration("exit-after", 0, "end after this long (0: do not)")
	exitCode := flag.Int("exit-code", 0, "the code to end with after --exit-after")
	flag.Var(&onTerm, "on-term", "on SIGTERM: exit, ignore, or a duration to end after")
	path := flag.String("api-get", "", "print what the API server answers for this path, and end")
	flag.Parse()
	if *path != "" {
		os.Exit(apiGet(*path))
	}

	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	say("started as process %d, arguments %q", os.Getpid(), os.Args[1:])
	if *port > 0 {
		go serve(*port)
	}

	var ticks <-chan time.Time
	if *tick > 0 {
		ticker := time.NewTicker(*tick)
		defer ticker.Stop()
		ticks = ticker.C
	}
	started := time.Now()
	finished := after(*exitAfter)
	var terminated <-chan time.Time
	for {
		select {
		case <-ticks:
			say("running for %s", time.Since(started).Round(time.Millisecond))
		case <-finished:
			say("ending with code %d", *exitCode)
			os.Exit(*exitCode)
		case <-terminated:
			say("ended %s after the signal", onTerm.after)
			os.Exit(0)
		case sig := <-signals:
			say("got %s: %s", sig, &onTerm)
			switch {
			case onTerm.ignore || terminated != nil:
			case onTerm.after == 0:
				os.Exit(0)
			default:
				terminated = time.After(onTerm.after)
			}
		}
	}
}
