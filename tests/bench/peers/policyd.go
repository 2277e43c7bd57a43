// A policy server in the manner of dlowe's dl-flashpolicyd, to measure flashpolicyd against: a
// goroutine for each client, one Read, one comparison, one line of the standard logger. Unlike the
// original it ends the policy with a NUL, and takes one of any size.
//
// usage: go-policyd PORT LOG_FILE POLICY_FILE
package main

import (
	"bytes"
	"io"
	"log"
	"net"
	"os"
	"time"
)

const deadline = time.Second

var request = []byte("<policy-file-request/>\x00")

// The original asks a goroutine of its own for the policy, because that one also reloads it.
func offer(policy []byte, policies chan<- []byte) {
	for {
		policies <- policy
	}
}

func serve(client net.Conn, policies <-chan []byte) {
	defer client.Close()
	client.SetDeadline(time.Now().Add(deadline))

	received := make([]byte, len(request))
	count, err := client.Read(received)
	if err != nil && err != io.EOF {
		log.Print("Error reading the request: ", err)
		return
	}
	if !bytes.Equal(received[:count], request) {
		log.Print("Not a policy request from ", client.RemoteAddr())
		return
	}

	policy := <-policies
	log.Print("Sending the policy to ", client.RemoteAddr())
	if _, err := client.Write(policy); err != nil {
		log.Print("Error writing the policy: ", err)
	}
}

func main() {
	if len(os.Args) != 4 {
		log.Fatal("usage: go-policyd PORT LOG_FILE POLICY_FILE")
	}
	file, err := os.OpenFile(os.Args[2], os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		log.Fatal(err)
	}
	policy, err := os.ReadFile(os.Args[3])
	if err != nil {
		log.Fatal(err)
	}
	policies := make(chan []byte)
	go offer(append(policy, 0), policies)

	// Go takes the backlog from the kernel's limit, net.core.somaxconn.
	listener, err := net.Listen("tcp", "127.0.0.1:"+os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	log.SetOutput(file)
	for {
		client, err := listener.Accept()
		if err != nil {
			log.Print("Error accepting: ", err)
			continue
		}
		go serve(client, policies)
	}
}
