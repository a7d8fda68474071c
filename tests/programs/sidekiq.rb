# Sidekiq against a running server: `sidekiq.rb PORT UNIXSOCKET [PASSWORD]`.
#
# Two real Sidekiq processes: plain, scheduled, retried and dead jobs. Prints the name of each case before it runs; ends with
# `all passed`.

port, _, password = ARGV
ENV['BROKER'] = "redis://#{":#{password}@" if password}127.0.0.1:#{port}/2"
HERE = __dir__
require_relative 'sidekiq_jobs'

def check(holds, what)
  raise "#{what}" unless holds
end

def wait_until(what, seconds: 60)
  ends = Process.clock_gettime(Process::CLOCK_MONOTONIC) + seconds
  until yield
    check(Process.clock_gettime(Process::CLOCK_MONOTONIC) < ends, "not in time: #{what}")
    sleep 0.02
  end
end

def redis(&block)
  Sidekiq.redis(&block)
end

cases = {
  'every job is done exactly once' => lambda {
    300.times { |number| Count.perform_async("ran:#{number}") }
    Sidekiq::Client.push_bulk('class' => Count, 'args' => (300...500).map { |number| ["ran:#{number}"] })
    wait_until('500 jobs done') { Sidekiq::Stats.new.processed >= 500 }
    counts = redis { |connection| connection.mget(*(0...500).map { |number| "ran:#{number}" }) }
    check(counts == ['1'] * 500, "ran otherwise than once: #{counts.tally}")
    check(Sidekiq::Queue.new('many').size.zero?, 'jobs are left')
  },
  'a scheduled job runs when due, a far one waits' => lambda {
    Count.perform_in(1, 'soon')
    far = Count.perform_in(3600, 'far')
    wait_until('the scheduled job') { redis { |connection| connection.get('soon') } == '1' }
    check(Sidekiq::ScheduledSet.new.map(&:jid) == [far], 'the far job is not the one that waits')
    Sidekiq::ScheduledSet.new.find_job(far).delete
    check(Sidekiq::ScheduledSet.new.size.zero?, 'a job is still scheduled')
  },
  'a failed job is tried again, a lost one is dead' => lambda {
    Second.perform_async('second')
    lost = Lost.perform_async
    wait_until('the second try') { redis { |connection| connection.get('second') } == '2' }
    wait_until('the dead job') { Sidekiq::DeadSet.new.map(&:jid) == [lost] }
    wait_until('both failures counted') { Sidekiq::Stats.new.failed >= 2 }
  }
}

redis(&:flushall)
workers = 2.times.map do
  spawn({ 'BROKER' => ENV.fetch('BROKER') }, 'sidekiq', '-r', File.join(HERE, 'sidekiq_jobs.rb'), '-c', '5', '-q', 'many',
        '-q', 'retried', chdir: '/', out: File::NULL, err: File::NULL)
end
begin
  cases.each do |name, run|
    puts name
    $stdout.flush
    run.call
  end
  wait_until('both processes told') { Sidekiq::ProcessSet.new.size == 2 }
ensure
  workers.each { |worker| Process.kill('TERM', worker) }
  workers.each { |worker| Process.wait(worker) }
end
puts 'all passed'
