# A policy server in the manner of ripienaar/flashpolicyd, to measure flashpolicyd against: a thread
# for each client, a time limit around it, and Ruby's Logger.
#
# usage: ruby policyd.rb PORT LOG_FILE POLICY_FILE
#
# The original logs each client only when it is verbose, then with six lines, into ten files of
# 100 KB; here it is one line for each client into one file. It ends the policy with a newline, this
# one with a NUL.
require 'logger'
require 'socket'
require 'timeout'

TIME_LIMIT = 3
port, log_file, policy_file = ARGV
POLICY = "#{File.binread(policy_file)}\0".b
LOG = Logger.new(log_file)
Connection = Struct.new(:client, :since, :thread)
@connections = []
@mutex = Mutex.new
@served = @bogus = 0

def serve(client)
  Timeout.timeout(TIME_LIMIT) do
    while (request = client.gets("\0"))
      next unless request.include?('policy-file-request')

      client.write(POLICY)
      LOG.info("Sent the policy to #{client.peeraddr[2]}")
      @mutex.synchronize { @served += 1 }
      break
    end
  end
rescue Timeout::Error
  @mutex.synchronize { @bogus += 1 }
  LOG.warn("Timed out after #{TIME_LIMIT} seconds")
rescue SystemCallError, IOError => e
  @mutex.synchronize { @bogus += 1 }
  LOG.warn("#{e.class}: #{e.message}")
end

BasicSocket.do_not_reverse_lookup = true
server = TCPServer.new('127.0.0.1', port.to_i)
server.listen(4096)
loop do
  Thread.new(server.accept) do |client|
    connection = Connection.new(client, Time.now, Thread.current)
    @mutex.synchronize { @connections << connection }
    serve(client)
  ensure
    client.close
    @mutex.synchronize { @connections.delete(connection) }
  end
end
