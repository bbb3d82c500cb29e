// SPDX-License-Identifier: MIT
//
// Purpose     What checks a cycle: the verifier and the barrier audit around it, and why the last one freed nothing.
// Invariants  [cycle.free.1] of collector.h. [verify.start.1] [audit.store.1]
#include "gc/collector.h"

namespace echo {

namespace {

class VerifyWork final : public StopWork {
public:
  VerifyWork(Collector& collector, bool objects) : collector_(collector), objects_(objects) {
    cause = ECHO_CAUSE_requested;
  }
  void run(const std::vector<Mutator*>& mutators) override {
    result = collector_.verify_in_stop(mutators, Verifier::Moment::Anytime, objects_);
  }
  std::string result;

private:
  Collector& collector_;
  const bool objects_;
};

struct UnseenRoots final : RootVisitor {
  void root(ObjectRef) override {}
  void ambiguous(AmbiguousWord, echo_pin) override {}
};

} // namespace

std::string Collector::verify(Mutator& mutator, bool objects) {
  VerifyWork work(*this, objects);
  safepoints.stop(&mutator, work);
  // A heap that was found corrupt once stays so; other failures of the last cycle say nothing about the heap.
  std::string why;
  return work.result.empty() && failure(&why) == ECHO_HEAP_CORRUPT ? why : work.result;
}

std::string Collector::verify_in_stop(const std::vector<Mutator*>& mutators, Verifier::Moment moment,
                                      bool objects) {
  const bool marking = moment == Verifier::Moment::Anytime && phase_.load() == Phase::Marking;
  return verifier_.verify(mutators, marking ? Verifier::Moment::Marking : moment, objects);
}

echo_status Collector::failure(std::string* why) {
  const MutexLock lock(failure_mutex_);
  if (failure_ != ECHO_OK) {
    *why = failure_why_;
  }
  return failure_;
}

void Collector::set_failure(echo_status status, std::string why) {
  const MutexLock lock(failure_mutex_);
  // A corrupt heap stays corrupt; other failures last until a cycle succeeds.
  if (failure_ != ECHO_HEAP_CORRUPT) {
    failure_ = status;
    failure_why_ = std::move(why);
  }
}

bool Collector::audit_and_verify_before(const std::vector<Mutator*>& mutators) {
  std::string broken;
  if (config.stress_barriers) {
    const std::vector<DeletionRecord> records = barriers.sink.take();
    audit_log_.insert(audit_log_.end(), records.begin(), records.end());
    broken = audit_.compare(audit_log_);
    audit_log_.clear();
  }
  // Roots that cannot be read are no corruption: the mark that follows fails and says why.
  UnseenRoots unseen;
  std::string why;
  if (broken.empty() && config.verify && enumerate_roots(roots, mutators, unseen, &why) == ECHO_OK) {
    broken = verifier_.verify(mutators, Verifier::Moment::BeforeMark, true); // by the bits of the last mark
  }
  if (!broken.empty()) {
    set_failure(ECHO_HEAP_CORRUPT, broken);
  }
  return broken.empty();
}

} // namespace echo
